// The page of `caldera profile --report`: a roofline, and the time by kernel and by layer.
const kernelNames = data.kernels.map(kernel => kernel.name);

// A layer of several kernels has the colour of its first.
function kernelOf(layer) { return layer.kernel.split(' + ')[0]; }
function kernelColor(name) { return color(`series-${kernelNames.indexOf(name) % 8 + 1}`); }
function withSwatch(kernel, text) {
  const swatch = element('span', {class: 'swatch'});
  swatch.style.background = `var(--series-${kernelNames.indexOf(kernel) % 8 + 1})`;
  return element('span', {}, swatch, text);
}

function layerLines(layer) {
  const lines = [
    `${layer.operator || 'layout'}, ${layer.kernel}`,
    `output [${layer.shape.join(', ')}]`,
    `${milliseconds(layer.ms)}, ${percent(layer.share)} of the time`,
  ];
  if (layer.multiply_adds > 0) {
    lines.push(`${short(layer.gflops)} GFLOP/s, ${short(layer.intensity)} FLOP a byte`);
  }
  lines.push(`${short(layer.gbps)} GB/s, ${percent(layer.share_of_roof)} of its roof`);
  return lines;
}

// --- The head ---

document.getElementById('title').textContent = data.arch;
document.getElementById('facts').append(facts([
  ['device', data.device],
  ['driver', data.driver],
  ['batch', `${data.batch}, input [${data.input_shape.join(', ')}]`],
  ['precision', data.precision],
  ['measured', `${data.date}, caldera ${data.version}`],
]));
document.getElementById('command').textContent = data.command;
document.getElementById('tiles').append(
    tile('Time of a run', ...milliseconds(data.median_ms).split(' '),
        `median of ${data.repeat}; best ${milliseconds(data.min_ms)}`),
    tile('Speed', short(data.images_per_second), 'images/s',
        `${milliseconds(data.device_ms)} of a run in kernels`),
    tile('Arithmetic', short(data.gflops), 'GFLOP/s',
        `${percent(data.gflops / data.peak_gflops)} of ${short(data.peak_gflops)} at best`),
    tile('Copies at best', short(data.copy_gbps), 'GB/s',
        `timing cost ${percent(data.overhead)}`));

// --- The roofline ---

const computing = data.layers.filter(layer => layer.multiply_adds > 0);
const others = data.layers.filter(layer => layer.multiply_adds === 0);
if (others.length > 0) {
  const share = others.reduce((sum, layer) => sum + layer.share, 0);
  document.getElementById('unplotted').textContent =
      `Not shown: ${others.length} without multiply-adds, ${percent(share)} of the time.`;
}

function roof(intensity) { return Math.min(data.peak_gflops, intensity * data.copy_gbps); }

draw('roofline', () => {
  const bend = data.peak_gflops / data.copy_gbps;
  const left = Math.min(bend / 4, ...computing.map(layer => layer.intensity / 2));
  const right = Math.max(bend * 4, ...computing.map(layer => layer.intensity * 2));
  const low = Math.min(roof(left), ...computing.map(layer => layer.gflops / 2));
  const sets = kernelNames
      .map(kernel => ({
        label: kernel,
        data: computing.filter(layer => kernelOf(layer) === kernel)
            .map(layer => ({x: layer.intensity, y: layer.gflops, layer})),
        backgroundColor: kernelColor(kernel) + 'b0',
        borderColor: kernelColor(kernel),
        radius: point => (point.raw ? 4 + 22 * Math.sqrt(point.raw.layer.share) : 4),
        hoverRadius: point => (point.raw ? 6 + 22 * Math.sqrt(point.raw.layer.share) : 6),
      }))
      .filter(set => set.data.length > 0);
  return {
    type: 'scatter',
    data: {
      datasets: [...sets, {
        label: `roof: ${short(data.copy_gbps)} GB/s, then ${short(data.peak_gflops)} GFLOP/s`,
        decoration: true,
        type: 'line',
        data: [left, bend, right].map(x => ({x, y: roof(x)})),
        borderColor: color('roof'),
        backgroundColor: color('roof'),
        borderWidth: 2,
        pointRadius: 0,
        pointHitRadius: 0,
        order: 1,
      }],
    },
    options: {
      scales: {
        x: logAxis('FLOP a byte', {min: left, max: right}),
        y: logAxis('GFLOP/s', {min: low, max: data.peak_gflops * 2}),
      },
      plugins: {
        legend: {position: 'bottom', labels: {usePointStyle: true, boxHeight: 8}},
        tooltip: {
          filter: item => item.raw.layer,
          callbacks: {
            title: items => items.map(item => item.raw.layer.name).join(', '),
            label: item => layerLines(item.raw.layer),
          },
        },
      },
    },
  };
});

// --- Bars ---

function bars(rows, labels, kernelOfRow, lines, legend) {
  return {
    type: 'bar',
    data: {
      labels,
      // A set a kernel, for the legend's sake; of each bar's place only one is taken.
      datasets: kernelNames.map(kernel => ({
        label: kernel,
        data: rows.map(row => (kernelOfRow(row) === kernel ? row.ms : null)),
        backgroundColor: kernelColor(kernel),
        borderRadius: 3,
        maxBarThickness: 16,
      })).filter(set => set.data.some(ms => ms !== null)),
    },
    options: {
      indexAxis: 'y',
      interaction: {mode: 'y', intersect: false},
      scales: {
        x: axis('milliseconds', {stacked: true}),
        y: axis('', {stacked: true, title: {display: false}, grid: {display: false},
          ticks: {autoSkip: false, color: color('text')}}),
      },
      plugins: {
        legend: {display: legend, position: 'top', labels: {usePointStyle: true, boxHeight: 8}},
        tooltip: {
          filter: item => item.raw !== null,
          callbacks: {label: item => lines(rows[item.dataIndex])},
        },
      },
    },
  };
}

document.getElementById('kernels-chart').style.height = `${data.kernels.length * 26 + 60}px`;
draw('kernels', () => bars(data.kernels, kernelNames, kernel => kernel.name,
    kernel => [`${milliseconds(kernel.ms)}, ${percent(kernel.share)} of the time`,
      `${kernel.dispatches} dispatches`], false));

document.getElementById('layers-chart').style.height = `${data.layers.length * 20 + 100}px`;
draw('layers', () => bars(data.layers, data.layers.map(layer => layer.name), kernelOf, layerLines,
    true));

// --- Tables ---

const figures = [
  {title: 'time', number: true, cell: row => milliseconds(row.ms)},
  {title: 'share', number: true, cell: row => percent(row.share)},
  {title: 'multiply-adds', number: true,
    cell: row => (row.multiply_adds > 0 ? `${short(row.multiply_adds / 1e6)} M` : '–')},
  {title: 'memory', number: true, cell: row => bytes(row.bytes)},
  {title: 'GFLOP/s', number: true,
    cell: row => (row.multiply_adds > 0 ? short(row.gflops) : '–')},
  {title: 'GB/s', number: true, cell: row => short(row.gbps)},
  {title: 'of roof', number: true, cell: row => percent(row.share_of_roof)},
];
document.getElementById('kernels-table').append(table([
  {title: 'kernel', cell: row => withSwatch(row.name, row.name)},
  {title: 'dispatches', number: true, cell: row => String(row.dispatches)},
  ...figures,
], data.kernels));
document.getElementById('layers-table').append(table([
  {title: 'layer', cell: row => withSwatch(kernelOf(row), row.name)},
  {title: 'kernel', cell: row => row.kernel},
  {title: 'output', cell: row => `[${row.shape.join(', ')}]`},
  ...figures,
], data.layers));
