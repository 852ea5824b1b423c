// Everything: devices, models, sessions, images. See docs/embedding.md for a first program.
#pragma once

#include "caldera/architecture.h"
#include "caldera/checkpoint.h"
#include "caldera/dataset.h"
#include "caldera/device.h"
#include "caldera/device_peak.h"
#include "caldera/graph.h"
#include "caldera/image.h"
#include "caldera/model.h"
#include "caldera/npy.h"
#include "caldera/predictor.h"
#include "caldera/reference.h"
#include "caldera/result.h"
#include "caldera/session.h"
#include "caldera/tensor.h"
#include "caldera/tuner.h"
