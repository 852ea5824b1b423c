// Batch-norm in training: statistics of the batch, what they make of x, the running averages, and
// the gradients. Channel by channel, over batch and pixels.
#include <cmath>

#include "graph/reference/training_operators.h"

namespace caldera::reference {
namespace {

// body(index) for every element of one channel.
template <typename Body>
void each_of_channel(const Array& x, int64_t c, const Body& body) {
  const int64_t plane = x.h() * x.w();
  for (int64_t n = 0; n < x.n(); ++n) {
    for (int64_t p = 0; p < plane; ++p) body(static_cast<size_t>((n * x.c() + c) * plane + p));
  }
}

int64_t count_of_channel(const Array& x) {
  return x.n() * x.h() * x.w();
}

// One element on its way back: xhat, and the gradient before the activation.
struct Back {
  double xhat = 0;
  double dz = 0;
};

Back back(Activation activation, const Array& dy, const Array& x, const Affine& affine, int64_t c,
          size_t index) {
  const auto channel = static_cast<size_t>(c);
  const double xhat = (x.data[index] - affine.mean(c)) * affine.inverse_deviation(c);
  const double z = xhat * affine.weight.data[channel] + affine.bias.data[channel];
  const double v = takes_output(activation) ? activate(activation, z) : z;
  return {xhat, gradient_through(activation, dy.data[index], v)};
}

}  // namespace

double Affine::inverse_deviation(int64_t c) const {
  return 1 / std::sqrt(var(c) + eps);
}

Floats batch_statistics(const Array& x) {
  const int64_t channels = x.c();
  const auto count = static_cast<double>(count_of_channel(x));
  Floats statistics(static_cast<size_t>(2 * channels));
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0;
    each_of_channel(x, c, [&](size_t i) { sum += x.data[i]; });
    const double mean = sum / count;
    double squares = 0;
    each_of_channel(x, c, [&](size_t i) { squares += (x.data[i] - mean) * (x.data[i] - mean); });
    statistics[static_cast<size_t>(c)] = static_cast<float>(mean);
    statistics[static_cast<size_t>(channels + c)] = static_cast<float>(squares / count);
  }
  return statistics;
}

Floats frozen_statistics(const Array& mean, const Array& var) {
  Floats statistics(mean.data.begin(), mean.data.end());
  statistics.insert(statistics.end(), var.data.begin(), var.data.end());
  return statistics;
}

Floats normalize(const Array& x, const Affine& affine, const Finish& finish) {
  Floats y(x.data.size());
  for (int64_t c = 0; c < x.c(); ++c) {
    const auto channel = static_cast<size_t>(c);
    each_of_channel(x, c, [&](size_t i) {
      const double xhat = (x.data[i] - affine.mean(c)) * affine.inverse_deviation(c);
      const double z = xhat * affine.weight.data[channel] + affine.bias.data[channel];
      y[i] = finish(z, static_cast<int64_t>(i));
    });
  }
  return y;
}

void update_running(const UpdateRunningAttrs& attrs, const Array& statistics, const Array& scalars,
                    Floats& running_mean, Floats& running_var) {
  const double share =
      attrs.cumulative ? scalar(scalars, ScalarSlot::kStatisticsShare) : attrs.momentum;
  const auto count = static_cast<double>(attrs.count);
  const size_t channels = running_mean.size();
  for (size_t c = 0; c < channels; ++c) {
    const double unbiased = statistics.data[channels + c] * (count / (count - 1));
    running_mean[c] =
        static_cast<float>((1 - share) * running_mean[c] + share * statistics.data[c]);
    running_var[c] = static_cast<float>((1 - share) * running_var[c] + share * unbiased);
  }
}

Floats normalize_sums(const NormalizeSumsAttrs& attrs, const Array& dy, const Array& x,
                      const Affine& affine, std::span<Floats> gradients) {
  const auto channels = static_cast<size_t>(x.c());
  Floats sums(2 * channels);
  for (size_t c = 0; c < channels; ++c) {
    double of_dz = 0, of_dz_xhat = 0;
    each_of_channel(x, static_cast<int64_t>(c), [&](size_t i) {
      const Back element = back(attrs.activation, dy, x, affine, static_cast<int64_t>(c), i);
      of_dz += element.dz;
      of_dz_xhat += element.dz * element.xhat;
    });
    sums[c] = static_cast<float>(of_dz);
    sums[channels + c] = static_cast<float>(of_dz_xhat);
    size_t next = 0;
    const auto add = [&](double sum) {
      float& gradient = gradients[next++][c];
      gradient = static_cast<float>(gradient + sum);
    };
    if (attrs.weight_gradient) add(of_dz_xhat);
    if (attrs.bias_gradient) add(of_dz);
  }
  return sums;
}

Floats normalize_gradient(Activation activation, const Array& dy, const Array& x,
                          const Affine& affine, const Array* sums) {
  const auto channels = static_cast<size_t>(x.c());
  const auto count = static_cast<double>(count_of_channel(x));
  Floats dx(x.data.size());
  for (size_t c = 0; c < channels; ++c) {
    const auto channel = static_cast<int64_t>(c);
    const double scale = affine.weight.data[c] * affine.inverse_deviation(channel);
    each_of_channel(x, channel, [&](size_t i) {
      const Back element = back(activation, dy, x, affine, channel, i);
      double through_statistics = 0;
      if (sums) {
        through_statistics = (sums->data[c] + element.xhat * sums->data[channels + c]) / count;
      }
      dx[i] = static_cast<float>(scale * (element.dz - through_statistics));
    });
  }
  return dx;
}

}  // namespace caldera::reference
