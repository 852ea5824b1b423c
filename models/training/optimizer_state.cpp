// torch.optim's state_dict; see optimizer_state.h.
#include "caldera/optimizer_state.h"

#include <algorithm>

#include "caldera/autodiff.h"

#include "models/checkpoint/boundary.h"
#include "models/checkpoint/torch_write.h"

namespace caldera {

namespace {

class OptimizerPickle {
 public:
  explicit OptimizerPickle(const OptimizerState& state) : state_(state) {
    for (const std::string& name : state.parameters) {
      (decayed(name) ? groups_[0] : groups_[1]).push_back(name);
    }
  }

  std::string write() {
    dictionary([&] {
      pickle_.string("state");
      dictionary([&] { moments(); });
      pickle_.string("param_groups");
      list([&] {
        for (size_t group = 0; group < groups_.size(); ++group) {
          if (!groups_[group].empty()) options(group);
        }
      });
    });
    pickle_.opcode('.');
    return pickle_.text();
  }

  const std::vector<NamedTensor>& storages() const { return storages_; }

 private:
  bool decayed(const std::string& name) const {
    if (state_.decay_vectors) return true;
    for (const auto& [moment, tensor] : state_.moments) {
      if (moment.starts_with(name + ".")) return tensor.shape().size() > 1;
    }
    return !name.ends_with(".bias");
  }

  template <typename Items>
  void dictionary(Items items) {
    pickle_.opcode('}');
    pickle_.opcode('(');
    items();
    pickle_.opcode('u');
  }
  template <typename Items>
  void list(Items items) {
    pickle_.opcode(']');
    pickle_.opcode('(');
    items();
    pickle_.opcode('e');
  }

  void tensor(const Tensor& tensor) {
    pickle_.tensor(tensor, std::ssize(storages_));
    storages_.push_back({"", tensor});
  }

  void moments() {
    if (state_.updates == 0) return;  // PyTorch's has none before the first step.
    const bool adam = state_.attrs.kind != OptimizerKind::kSgd;
    int64_t index = 0;
    for (const auto& group : groups_) {
      for (const std::string& name : group) {
        pickle_.integer(index++);
        dictionary([&] {
          if (adam) {
            pickle_.string("step");
            tensor(Tensor::from_floats({}, {static_cast<float>(state_.updates)}));
          }
          for (const std::string_view kind : optimizer_states(state_.attrs)) {
            const auto found = state_.moments.find(state_name(name, kind));
            if (kind == "ema" || found == state_.moments.end()) continue;
            pickle_.string(kind);
            tensor(found->second);
          }
        });
      }
    }
  }

  void options(size_t group) {
    const OptimizerAttrs& attrs = state_.attrs;
    const auto real = [&](std::string_view name, double value) {
      pickle_.string(name);
      pickle_.real(value);
    };
    const auto flag = [&](std::string_view name, bool value) {
      pickle_.string(name);
      pickle_.boolean(value);
    };
    const auto none = [&](std::string_view name) {
      pickle_.string(name);
      pickle_.none();
    };
    dictionary([&] {
      real("lr", state_.learning_rate);
      real("weight_decay", group == 0 ? attrs.weight_decay : 0);
      flag("maximize", false);
      none("foreach");
      flag("differentiable", false);
      if (attrs.kind == OptimizerKind::kSgd) {
        real("momentum", attrs.momentum);
        real("dampening", 0);
        flag("nesterov", attrs.nesterov);
      } else {
        pickle_.string("betas");
        pickle_.opcode('(');
        pickle_.real(attrs.beta1);
        pickle_.real(attrs.beta2);
        pickle_.opcode('t');
        real("eps", attrs.eps);
        flag("amsgrad", false);
        flag("capturable", false);
        none("fused");
      }
      pickle_.string("params");
      list([&] {
        const int64_t first = group == 0 ? 0 : std::ssize(groups_[0]);
        for (int64_t i = 0; i < std::ssize(groups_[group]); ++i) pickle_.integer(first + i);
      });
    });
  }

  const OptimizerState& state_;
  std::array<std::vector<std::string>, 2> groups_;
  PickleWriter pickle_;
  std::vector<NamedTensor> storages_;
};

}  // namespace

Status write_pytorch_optimizer(const std::filesystem::path& path, const OptimizerState& state) {
  return at_boundary<Status>(path, [&] {
    OptimizerPickle pickle(state);
    const std::string text = pickle.write();
    return write_torch_archive(path, text, pickle.storages());
  });
}

}  // namespace caldera
