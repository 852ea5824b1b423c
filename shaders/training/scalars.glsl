// ScalarSlot (caldera/training_ops.h).
const uint kLearningRate = 0;
const uint kApply = 1;
const uint kLossScale = 2;
const uint kBiasCorrection1 = 3;
const uint kBiasCorrection2 = 4;
const uint kStatisticsShare = 5;
const uint kSeed = 6;
const uint kStep = 7;
