// The ways in which `caldera profile` tells what it measured: tables, JSON, a trace, a page.
#include <chrono>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "embedded/profile_html.h"
#include "embedded/profile_js.h"
#include "tools/embedded_text.h"
#include "tools/page.h"
#include "tools/profile.h"

namespace caldera::tool {

namespace {

std::string percent(double part) {
  return fmt::format("{:.1f}%", 100 * part);
}

// The columns that layers and kernels share.
std::vector<std::string> figures(const Profile& profile, const Part& part) {
  return {human_seconds(part.seconds), percent(part.seconds / profile.device_seconds()),
          part.multiply_adds > 0 ? fmt::format("{:.1f}", part.gflops()) : "-",
          fmt::format("{:.2f}", part.gbps()), percent(profile.share_of_roof(part))};
}

void add_figures(std::vector<Table::Column>& columns) {
  for (const char* title : {"time", "share", "GFLOP/s", "GB/s", "of roof"}) {
    columns.push_back({title, Table::Align::kRight});
  }
}

Json part_json(const Profile& profile, const Part& part) {
  Json json{{"name", part.name}};
  if (!part.shape.empty()) {
    json["operator"] = part.op;
    json["kernel"] = part.kernel;
    json["shape"] = part.shape;
  }
  json.update({{"dispatches", part.dispatches},
               {"ms", part.seconds * 1e3},
               {"share", part.seconds / profile.device_seconds()},
               {"multiply_adds", part.multiply_adds},
               {"bytes", part.bytes},
               {"gflops", part.gflops()},
               {"gbps", part.gbps()},
               {"intensity", part.intensity()},
               {"share_of_roof", profile.share_of_roof(part)}});
  return json;
}

Json parts_json(const Profile& profile, const std::vector<Part>& parts) {
  Json json = Json::array();
  for (const Part& part : parts) json.push_back(part_json(profile, part));
  return json;
}

}  // namespace

void print_profile(const Workload& work, const Profile& profile) {
  std::vector<Table::Column> columns{{"layer"}, {"kernel"}, {"output"}};
  add_figures(columns);
  Table layers(columns);
  for (const Part& layer : profile.layers) {
    std::vector<std::string> row{layer.name, layer.kernel, to_string(layer.shape)};
    for (std::string& cell : figures(profile, layer)) row.push_back(std::move(cell));
    layers.add(std::move(row));
  }
  layers.print();
  fmt::print("\n");

  columns = {{"kernel"}, {"dispatches", Table::Align::kRight}};
  add_figures(columns);
  Table kernels(columns);
  for (const Part& kernel : profile.kernels) {
    std::vector<std::string> row{kernel.name, std::to_string(kernel.dispatches)};
    for (std::string& cell : figures(profile, kernel)) row.push_back(std::move(cell));
    kernels.add(std::move(row));
  }
  kernels.print();
  fmt::print("\n");

  Table summary({{""}, {""}});
  summary.add({"model", fmt::format("{}, {}, {}", work.arch, to_string(work.input.shape()),
                                    precision_name(work.precision))});
  summary.add({"device", fmt::format("{}, {}", work.device.info().name, work.driver())});
  summary.add({"time", fmt::format("{}, the median of {} runs; {} of it in kernels",
                                   human_seconds(profile.plain.median), profile.repeat,
                                   human_seconds(profile.device_seconds()))});
  const double gflops = work.flops() / profile.plain.median * 1e-9;
  summary.add(
      {"arithmetic", fmt::format("{:.1f} GFLOP/s, {} of the {:.1f} that were measured here", gflops,
                                 percent(gflops / profile.peak_gflops), profile.peak_gflops)});
  summary.add({"roofs", fmt::format("{:.1f} GFLOP/s of arithmetic, {:.1f} GB/s of copies",
                                    profile.peak_gflops, profile.peak.copy_gbps)});
  summary.add(
      {"overhead", fmt::format("{} for timing each dispatch", percent(profile.overhead()))});
  summary.print();
}

Json profile_json(const Workload& work, const Profile& profile) {
  Json json = timing_json(work, profile.plain, profile.peak);
  json["repeat"] = profile.repeat;
  json["timed_median_ms"] = profile.timed.median * 1e3;
  json["overhead"] = profile.overhead();
  json["device_ms"] = profile.device_seconds() * 1e3;
  json["layers"] = parts_json(profile, profile.layers);
  json["kernels"] = parts_json(profile, profile.kernels);
  return json;
}

Json profile_trace(const Workload& work, const Profile& profile) {
  const auto named = [](const char* what, const std::string& name) {
    return Json{{"name", what}, {"ph", "M"}, {"pid", 1}, {"tid", 1}, {"args", {{"name", name}}}};
  };
  Json events = Json::array();
  events.push_back(named("process_name", work.device.info().name));
  events.push_back(named("thread_name", fmt::format("{}, batch {}, {}", work.arch, work.batch(),
                                                    precision_name(work.precision))));
  for (size_t i = 0; i < profile.dispatches.size(); ++i) {
    const DispatchTime& dispatch = profile.dispatches[i];
    const Part& layer = profile.layers[profile.layer_of[i]];
    events.push_back({{"name", layer.name},
                      {"cat", layer.op.empty() ? "layout" : layer.op},
                      {"ph", "X"},
                      {"pid", 1},
                      {"tid", 1},
                      {"ts", dispatch.start * 1e6},
                      {"dur", dispatch.seconds * 1e6},
                      {"args",
                       {{"layer", layer.name},
                        {"kernel", dispatch.shader},
                        {"multiply_adds", dispatch.multiply_adds},
                        {"bytes", dispatch.bytes}}}});
  }
  return {{"displayTimeUnit", "ms"},
          {"otherData", {{"command", profile.command}, {"driver", work.driver()}}},
          {"traceEvents", std::move(events)}};
}

std::string profile_page(const Workload& work, const Profile& profile) {
  Json data = profile_json(work, profile);
  data["command"] = profile.command;
  data["date"] =
      fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::chrono::system_clock::now()));
  data["version"] = CALDERA_VERSION;
  return make_page({.title = fmt::format("{} on {}", work.arch, work.device.info().name),
                    .body = embedded_text(profile_html_bytes),
                    .script = embedded_text(profile_js_bytes),
                    .data = std::move(data)});
}

}  // namespace caldera::tool
