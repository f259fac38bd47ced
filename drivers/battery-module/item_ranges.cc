#include "drivers/battery-module/item_ranges.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "drivers/api/battery.h"
#include "drivers/battery-module/layout.h"

namespace canhub::battery_module {
namespace {

namespace pack = battery::pack;
namespace module = battery::module;
using Range = std::pair<double, double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// What is outside of the signal's own bounds is BAD. No end where it is a float without bounds.
Range RangeOf(const dbc::Signal& signal) {
  Range range = signal.PhysicalRange().value_or(Range{-kInfinity, kInfinity});
  if (signal.minimum) range.first = std::max(range.first, *signal.minimum);
  if (signal.maximum) range.second = std::min(range.second, *signal.maximum);
  return range;
}

struct Specs {
  std::shared_ptr<const ItemTable> names;  // keeps them
  std::vector<ItemSpec> pack, module;
};

class Filler {
 public:
  Filler(const PackItems& items, const Settings& settings, Specs* specs)
      : settings_(settings), layout_(settings, items), specs_(specs) {
    for (const Route& route : layout_.routes()) {
      for (size_t i = 0; i < route.targets.size(); ++i) {
        const Target& target = route.targets[i];
        if (target.spec < 0) continue;
        Range range = RangeOf(route.message->signals[i]);
        if (target.role == SignalRole::kCurrent && settings.charging_is_positive) {
          range = {-range.second, -range.first};
        }
        if (target.role == SignalRole::kVoltage) {
          range.second = std::min(range.second, HighestModuleVolt(settings, layout_));
        }
        const auto [known, is_new] = by_spec_.emplace(target.spec, range);
        if (is_new) continue;
        known->second = {std::min(known->second.first, range.first),
                         std::max(known->second.second, range.second)};
      }
    }
    for (const auto& [spec, range] : by_spec_) {
      Put(&specs_->module[static_cast<size_t>(spec)], range);
    }
    FillModule();
    FillPack();
  }

 private:
  static void Put(ItemSpec* spec, const Range& range) {
    if (range.first > -kInfinity) spec->lowest = range.first;
    if (range.second < kInfinity) spec->highest = range.second;
  }
  static void Put(std::vector<ItemSpec>& specs, std::string_view name, const Range& range) {
    for (ItemSpec& spec : specs) {
      if (name == spec.name) Put(&spec, range);
    }
  }
  // Of an item of the modules.
  Range Of(std::string_view name) const {
    for (const auto& [spec, range] : by_spec_) {
      if (name == specs_->module[static_cast<size_t>(spec)].name) return range;
    }
    return {-kInfinity, kInfinity};
  }
  // From one of several things that add up to all of them.
  static Range Sum(const Range& one, int least, int most) {
    return {one.first * (one.first < 0 ? most : least),
            one.second * (one.second < 0 ? least : most)};
  }
  static Range Spread(const Range& range) { return {0, range.second - range.first}; }

  Range Cell() const {
    Range all = Of("cell1_voltage");
    for (int k = 2; k <= settings_.cells; ++k) {
      const Range cell = Of("cell" + std::to_string(k) + "_voltage");
      all = {std::min(all.first, cell.first), std::max(all.second, cell.second)};
    }
    return all;
  }

  void FillModule() {
    std::vector<ItemSpec>& specs = specs_->module;
    const Range cell = Cell();
    const Range number = {1, settings_.cells};
    Put(specs, module::kPresence, {0, 3});
    Put(specs, module::kLevel, {0, 2});
    Put(specs, module::kCellMin, cell);
    Put(specs, module::kCellMax, cell);
    Put(specs, module::kCellSpread, Spread(cell));
    Put(specs, module::kCellSum, Sum(cell, settings_.cells, settings_.cells));
    Put(specs, module::kCellMinCell, number);
    Put(specs, module::kCellMaxCell, number);
  }

  void FillPack() {
    std::vector<ItemSpec>& specs = specs_->pack;
    const int most = settings_.expected_modules > 0 ? settings_.expected_modules : kMaxModules;
    const Range cell = Cell(), volt = Of(module::kVoltage), ampere = Of(module::kCurrent);
    const Range soc = Of(module::kSoc), coldest = Of(module::kTemperatureMin);
    const Range hottest = Of(module::kTemperatureMax);
    const Range heat = {std::min(coldest.first, hottest.first),
                        std::max(coldest.second, hottest.second)};
    const Range module = {1, kMaxModules}, count = {0, kMaxModules};
    const Range number = {1, settings_.cells};
    for (const char* name :
         {pack::kLevel, pack::kCellLowLevel, pack::kCellHighLevel, pack::kModuleLowLevel,
          pack::kModuleHighLevel, pack::kTemperatureLowLevel, pack::kTemperatureHighLevel,
          pack::kDataLevel, pack::kFaultLevel}) {
      Put(specs, name, {0, 2});
    }
    const std::pair<const char*, Range> rows[] = {
        {pack::kModuleCount, count},
        {pack::kModulesGood, count},
        {pack::kModulesUnexpected, count},
        {pack::kVoltage, Sum(volt, 1, most)},
        {pack::kCellSum, Sum(cell, settings_.cells, most * settings_.cells)},
        {pack::kCellMin, cell},
        {pack::kCellMax, cell},
        {pack::kCellSpread, Spread(cell)},
        {pack::kModuleMin, volt},
        {pack::kModuleMax, volt},
        {pack::kModuleSpread, Spread(volt)},
        {pack::kCurrentMean, ampere},
        {pack::kCurrentMin, ampere},
        {pack::kCurrentMax, ampere},
        {pack::kTemperatureMin, heat},
        {pack::kTemperatureMax, heat},
        {pack::kTemperatureSpread, Spread(heat)},
        {pack::kSocMin, soc},
        {pack::kSocMax, soc},
        {pack::kCellMinModule, module},
        {pack::kCellMaxModule, module},
        {pack::kCellMinCell, number},
        {pack::kCellMaxCell, number},
        {pack::kModuleMinModule, module},
        {pack::kModuleMaxModule, module},
        {pack::kTemperatureMinModule, module},
        {pack::kTemperatureMaxModule, module}};
    for (const auto& [name, range] : rows) Put(specs, name, range);
  }

  const Settings& settings_;
  const Layout layout_;
  Specs* const specs_;
  std::map<int, Range> by_spec_;  // of the modules' own values
};

}  // namespace

std::shared_ptr<const ItemTable> WithRanges(const PackItems& items, const Settings& settings) {
  const std::span<const ItemBlock> blocks = items.table()->blocks();
  auto specs = std::make_shared<Specs>();
  specs->names = items.table();
  specs->pack.assign(blocks[0].specs.begin(), blocks[0].specs.end());
  specs->module.assign(blocks[1].specs.begin(), blocks[1].specs.end());
  const Filler fill(items, settings, specs.get());
  std::vector<ItemBlock> with = {blocks[0], blocks[1]};
  with[0].specs = specs->pack;
  with[1].specs = specs->module;
  return std::make_shared<const ItemTable>(std::move(with), std::move(specs));
}

}  // namespace canhub::battery_module
