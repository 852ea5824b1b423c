// Where an invocation of a pool stands: four channels of one pixel of [image][row][column][c4].
struct Place {
  uint pixel;
  uint block;
  uint image;
  uint row;
  uint column;
};

Place locate(uint index, uint c4, uint height, uint width) {
  Place at;
  at.pixel = index / c4;
  at.block = index - at.pixel * c4;
  uint row = at.pixel / width;
  at.column = at.pixel - row * width;
  at.image = row / height;
  at.row = row - at.image * height;
  return at;
}
