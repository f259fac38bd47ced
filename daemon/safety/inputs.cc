#include "daemon/safety/inputs.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <utility>

namespace canhub {
namespace {

using Kind = RuleCondition::Kind;

Truth ToTruth(bool value) { return value ? Truth::kTrue : Truth::kFalse; }

Truth Not(Truth truth) {
  if (truth == Truth::kUnknown) return truth;
  return ToTruth(truth == Truth::kFalse);
}

bool Compare(int64_t found, Comparison comparison, int64_t bound) {
  switch (comparison) {
    case Comparison::kAtLeast:
      return found >= bound;
    case Comparison::kAtMost:
      return found <= bound;
    case Comparison::kAbove:
      return found > bound;
    case Comparison::kBelow:
      return found < bound;
    case Comparison::kEqual:
      return found == bound;
    case Comparison::kNotEqual:
      return found != bound;
  }
  return false;
}

bool IsNumber(const Value& value) { return value.has_value() && value.type() != ValueType::kText; }

}  // namespace

std::string ShownReading(const Reading& reading, Quality quality, const ItemSpec* spec) {
  std::string text;
  if (quality != Quality::kGood) {
    text = std::string(ToString(quality));
    if (!reading.value.has_value()) return text;
    text += ", last ";
  }
  if (spec != nullptr && reading.value.type() == ValueType::kInteger) {
    for (const ValueLabel& label : spec->labels) {
      if (label.value == reading.value.integer()) return text + label.name;
    }
  }
  text += reading.value.ToString();
  if (spec != nullptr && *spec->unit != '\0') text += std::string(" ") + spec->unit;
  return text;
}

// ---------------------------------------------------------------- LevelWatch

LevelWatch::LevelWatch(const LevelRule* rule)
    : rule_(rule), pattern_(*ItemPattern::Parse(rule->items)) {}

void LevelWatch::Match(const std::vector<const WatchedDevice*>& devices) {
  std::map<std::pair<size_t, std::string>, Tracked> known;
  for (Tracked& tracked : std::exchange(tracked_, {})) {
    tracked.item.reset();
    std::pair<size_t, std::string> key(tracked.device, tracked.name);
    known.emplace(std::move(key), std::move(tracked));
  }
  for (size_t d = 0; d < devices.size(); ++d) {
    const ItemTable& items = devices[d]->snapshot->items();
    for (const ItemId item : pattern_.Match(items)) {
      const auto before = known.extract({d, items.Name(item)});
      tracked_.push_back(before ? std::move(before.mapped())
                                : Tracked{.device = d,
                                          .name = items.Name(item),
                                          .item = item,
                                          .tracker = LevelTracker(&rule_->bounds)});
      tracked_.back().item = item;
    }
  }
  for (auto& [key, gone] : known) {
    if (gone.was_good) tracked_.push_back(std::move(gone));
  }
}

Reading LevelWatch::Read(const Tracked& tracked) const {
  return tracked.item ? devices_[tracked.device]->snapshot->Read(*tracked.item) : Reading();
}

void LevelWatch::Update(const std::vector<const WatchedDevice*>& devices, const StateCache& cache,
                        MonoTime now, bool settling) {
  devices_ = devices;
  cache_ = &cache;
  now_ = now;
  std::vector<std::pair<size_t, uint64_t>> generations;
  generations.reserve(devices.size());
  for (const WatchedDevice* device : devices) {
    generations.emplace_back(device->index, device->snapshot->generation());
  }
  if (generations != generations_) {
    generations_ = std::move(generations);
    Match(devices);
  }
  low_ = high_ = Level::kNormal;
  int good = 0, lost = 0;
  for (Tracked& tracked : tracked_) {
    const Reading reading = Read(tracked);
    tracked.is_good = reading.EffectiveQuality(now) == Quality::kGood && IsNumber(reading.value);
    if (tracked.is_good) {
      ++good;
      const int64_t counts = SafetyCounts(reading.value.AsNumber(), rule_->resolution);
      // What is read again is a sample of its own, whatever it says.
      if (!tracked.was_good || reading.read_time != tracked.read_time || counts != tracked.counts) {
        tracked.read_time = reading.read_time;
        tracked.counts = counts;
        tracked.tracker.Sample(counts);
      }
      tracked.was_good = true;
    } else if (tracked.was_good) {
      ++lost;
    }
    low_ = std::max(low_, tracked.tracker.low());
    high_ = std::max(high_, tracked.tracker.high());
  }
  // An item that was there once belongs to the set: what is missing never makes it smaller.
  missing_ = std::max(lost, rule_->count - good);
  unsettled_ = settling && lost == 0 && missing_ > 0;
  stale_ = Level::kNormal;
  if (missing_ <= 0 || unsettled_) {
    missing_since_.reset();
    return;
  }
  if (!missing_since_) missing_since_ = now;
  const Duration missing = now - *missing_since_;
  if (rule_->stale_to_dangerous && missing >= *rule_->stale_to_dangerous) {
    stale_ = Level::kDangerous;
  } else if (rule_->stale_to_warning && missing >= *rule_->stale_to_warning) {
    stale_ = Level::kWarning;
  }
}

Level LevelWatch::Of(LevelSide side) const {
  switch (side) {
    case LevelSide::kAny:
      return level();
    case LevelSide::kLow:
      return low_;
    case LevelSide::kHigh:
      return high_;
  }
  return level();
}

Truth LevelWatch::AtLeast(Level level, LevelSide side) const {
  if (Of(side) >= level) return Truth::kTrue;
  if (unsettled_) return Truth::kUnknown;
  if (missing_ <= 0) return Truth::kFalse;
  // For how long it may be missing is the rule's to say; a side says nothing of it.
  const std::optional<Duration>& patience =
      level == Level::kDangerous ? rule_->stale_to_dangerous : rule_->stale_to_warning;
  if (!patience || stale_ >= level) return Truth::kUnknown;
  return Truth::kFalse;
}

bool LevelWatch::IsReadSince(MonoTime since) const {
  return std::all_of(tracked_.begin(), tracked_.end(), [&](const Tracked& tracked) {
    return !tracked.is_good || tracked.read_time >= since;
  });
}

std::optional<InterlockCause> LevelWatch::Worst(LevelSide side) const {
  const Level worst = Of(side);
  const Tracked* found = nullptr;
  for (const Tracked& tracked : tracked_) {
    const Level of = side == LevelSide::kLow    ? tracked.tracker.low()
                     : side == LevelSide::kHigh ? tracked.tracker.high()
                                                : tracked.tracker.level();
    if (of == worst && worst != Level::kNormal) {
      found = &tracked;
      break;
    }
  }
  if (found == nullptr && missing_ > 0) {
    for (const Tracked& tracked : tracked_) {
      if (!tracked.is_good && (tracked.was_good || found == nullptr)) found = &tracked;
      if (found != nullptr && found->was_good) break;
    }
    if (found == nullptr || !found->was_good) {
      return InterlockCause{.subject = rule_->items,
                            .found = std::to_string(rule_->count - missing_) + " of " +
                                     std::to_string(rule_->count) + " items read"};
    }
  }
  if (found == nullptr) return std::nullopt;
  const WatchedDevice& device = *devices_[found->device];
  const Reading reading = Read(*found);
  const ItemSpec* spec = found->item ? &device.snapshot->items().Spec(*found->item) : nullptr;
  return InterlockCause{.subject = cache_->DeviceId(device.index) + "/" + found->name,
                        .found = ShownReading(reading, reading.EffectiveQuality(now_), spec),
                        .time = reading.read_time};
}

// ---------------------------------------------------------------- SafetyInputs

class SafetyInputs::BusSink final : public FrameSink {
 public:
  BusSink(std::string id, CanBus* bus, std::function<void()> wake)
      : id_(std::move(id)), bus_(bus), wake_(std::move(wake)) {}
  ~BusSink() override { port_.reset(); }
  const std::string& id() const { return id_; }
  void Attach() {
    if (port_ == nullptr) port_ = bus_->Attach({}, this);
  }
  void OnRx(const RxFrame&) override {}
  void OnTxReport(const TxReport&) override {}
  void OnBusState(BusState state) override {
    state_.store(static_cast<int>(state), std::memory_order_release);
    if (CanTransmit(state)) was_up_.store(true, std::memory_order_release);
    wake_();
  }
  // -1: not known yet.
  int state() const { return state_.load(std::memory_order_acquire); }
  bool was_up() const { return was_up_.load(std::memory_order_acquire); }

 private:
  const std::string id_;
  CanBus* const bus_;
  const std::function<void()> wake_;
  std::atomic<int> state_{-1};
  std::atomic<bool> was_up_{false};
  std::unique_ptr<BusPort> port_;
};

SafetyInputs::SafetyInputs(const SafetyRules* rules, const InterlockDependencies& dependencies,
                           std::function<void()> wake)
    : rules_(rules),
      cache_(dependencies.cache),
      alarm_book_(dependencies.alarms),
      buses_(dependencies.buses),
      wake_(std::move(wake)),
      interlocks_(rules->interlocks.size(), Truth::kUnknown) {
  for (const LevelRule& rule : rules->levels) {
    LevelWatch& level = levels_.emplace_back(&rule);
    std::vector<const WatchedDevice*>& devices = level_devices_.emplace_back();
    for (DeviceIndex i = 0; i < cache_->size(); ++i) {
      if (level.Watches(cache_->DeviceId(i)) && cache_->DeviceId(i) != kSafetyDevice) {
        devices.push_back(devices_[DeviceOf(i)].get());
      }
    }
  }
}

SafetyInputs::~SafetyInputs() = default;

size_t SafetyInputs::DeviceOf(DeviceIndex index) {
  for (size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i]->index == index) return i;
  }
  devices_.push_back(std::make_unique<WatchedDevice>(
      WatchedDevice{.index = index, .snapshot = cache_->Snapshot(index)}));
  return devices_.size() - 1;
}

ConditionNode SafetyInputs::Compile(const RuleCondition& condition) {
  ConditionNode node{.condition = &condition};
  const auto place = [](const auto& list, const auto& is) {
    return static_cast<size_t>(std::find_if(list.begin(), list.end(), is) - list.begin());
  };
  switch (condition.kind) {
    case Kind::kAny:
    case Kind::kAll:
      for (const RuleCondition& part : condition.parts) node.parts.push_back(Compile(part));
      break;
    case Kind::kValue:
    case Kind::kQuality: {
      node.index = place(items_, [&](const Item& item) { return item.name == condition.subject; });
      if (node.index < items_.size()) break;
      const size_t slash = condition.subject.find('/');
      const auto device = cache_->FindDevice(std::string_view(condition.subject).substr(0, slash));
      items_.push_back({.name = condition.subject,
                        .device = DeviceOf(device.value()),
                        .item = condition.subject.substr(slash + 1)});
      break;
    }
    case Kind::kLevel:
      node.index =
          place(levels_, [&](const LevelWatch& l) { return l.rule().id == condition.subject; });
      break;
    case Kind::kAlarm:
      node.index = alarm_ids_.size();
      alarm_ids_.push_back(condition.subject);
      if (alarm_watch_ == nullptr) alarm_watch_ = alarm_book_->Watch("", wake_);
      break;
    case Kind::kBus: {
      node.index = place(bus_sinks_, [&](const auto& s) { return s->id() == condition.subject; });
      if (node.index < bus_sinks_.size()) break;
      const size_t bus = place(buses_, [&](const auto& b) { return b.first == condition.subject; });
      bus_sinks_.push_back(std::make_unique<BusSink>(buses_[bus].first, buses_[bus].second, wake_));
      break;
    }
    case Kind::kInterlock:
      node.index = place(rules_->interlocks,
                         [&](const InterlockRule& r) { return r.id == condition.subject; });
      break;
  }
  return node;
}

std::vector<bool> SafetyInputs::WatchedDevices() const {
  std::vector<bool> watched(cache_->size());
  for (const auto& device : devices_) watched[device->index] = true;
  return watched;
}

void SafetyInputs::Update(MonoTime now) {
  if (!start_) start_ = now;
  now_ = now;
  settling_ = now - *start_ < rules_->settle;
  for (const auto& sink : bus_sinks_) sink->Attach();
  for (const auto& device : devices_) device->snapshot = cache_->Snapshot(device->index);
  for (Item& item : items_) {
    const DeviceSnapshot& snapshot = *devices_[item.device]->snapshot;
    if (item.generation != snapshot.generation()) {
      item.generation = snapshot.generation();
      item.id = snapshot.items().Find(item.item);
      item.spec = item.id ? &snapshot.items().Spec(*item.id) : nullptr;
    }
    item.reading = item.id ? snapshot.Read(*item.id) : Reading();
    item.quality = item.reading.EffectiveQuality(now);
  }
  for (size_t i = 0; i < levels_.size(); ++i) {
    levels_[i].Update(level_devices_[i], *cache_, now, settling_);
  }
  if (alarm_watch_ == nullptr) return;
  // Until it is empty: only then the next change wakes again.
  for (AlarmWatch::Batch batch = alarm_watch_->Drain(); !batch.alarms.empty();
       batch = alarm_watch_->Drain()) {
    for (const AlarmRecord& alarm : batch.alarms) {
      if (alarm.active) {
        active_alarms_.insert_or_assign(alarm.id(), ActiveAlarm{alarm.text, !alarm.from_last_run});
      } else {
        active_alarms_.erase(alarm.id());
      }
    }
  }
}

Truth SafetyInputs::Leaf(const ConditionNode& node) const {
  const RuleCondition& condition = *node.condition;
  switch (condition.kind) {
    case Kind::kAny:
    case Kind::kAll:
      break;
    case Kind::kValue: {
      const Item& item = items_[node.index];
      if (item.quality != Quality::kGood || !IsNumber(item.reading.value)) return Truth::kUnknown;
      const double value = item.reading.value.AsNumber();
      return ToTruth(
          Compare(SafetyCounts(condition.absolute ? std::abs(value) : value, condition.resolution),
                  condition.comparison, condition.counts));
    }
    case Kind::kQuality: {
      const Item& item = items_[node.index];
      if (item.quality == Quality::kNeverRead && settling_) return Truth::kUnknown;
      return ToTruth((condition.mask >> static_cast<int>(item.quality) & 1) != 0);
    }
    case Kind::kLevel:
      return levels_[node.index].AtLeast(condition.level, condition.side);
    case Kind::kAlarm: {
      const auto active = active_alarms_.find(alarm_ids_[node.index]);
      if (active == active_alarms_.end()) return Truth::kFalse;
      return active->second.known ? Truth::kTrue : Truth::kUnknown;
    }
    case Kind::kBus: {
      const BusSink& bus = *bus_sinks_[node.index];
      if (bus.state() < 0 || (settling_ && !bus.was_up())) return Truth::kUnknown;
      return ToTruth((condition.mask >> bus.state() & 1) != 0);
    }
    case Kind::kInterlock:
      return interlocks_[node.index];
  }
  return Truth::kUnknown;
}

bool SafetyInputs::IsReadSince(const ConditionNode& leaf, MonoTime since) const {
  switch (leaf.condition->kind) {
    case Kind::kValue:
    case Kind::kQuality: {
      const Item& item = items_[leaf.index];
      // That nothing is read is a fact of now.
      return item.quality != Quality::kGood || item.reading.read_time >= since;
    }
    case Kind::kLevel:
      return levels_[leaf.index].IsReadSince(since);
    case Kind::kAny:
    case Kind::kAll:
    case Kind::kAlarm:
    case Kind::kBus:
    case Kind::kInterlock:
      break;
  }
  return true;
}

Truth SafetyInputs::Evaluate(const ConditionNode& node, MonoTime since) const {
  const Kind kind = node.condition->kind;
  if (kind != Kind::kAny && kind != Kind::kAll) {
    if (!IsReadSince(node, since)) return Truth::kUnknown;
    return node.condition->negated ? Not(Leaf(node)) : Leaf(node);
  }
  Truth truth = ToTruth(kind == Kind::kAll);
  for (const ConditionNode& part : node.parts) {
    const Truth of = Evaluate(part, since);
    truth = kind == Kind::kAny ? std::max(truth, of) : std::min(truth, of);
  }
  return truth;
}

InterlockCause SafetyInputs::CauseOf(const ConditionNode& node) const {
  const RuleCondition& condition = *node.condition;
  InterlockCause cause{.condition = condition.text, .subject = condition.subject};
  switch (condition.kind) {
    case Kind::kAny:
    case Kind::kAll:
      break;
    case Kind::kValue:
    case Kind::kQuality: {
      const Item& item = items_[node.index];
      cause.found = item.id || item.quality != Quality::kNeverRead
                        ? ShownReading(item.reading, item.quality, item.spec)
                        : "no item that the device has now";
      if (item.reading.read_time != MonoTime()) cause.time = item.reading.read_time;
      break;
    }
    case Kind::kLevel: {
      const LevelWatch& level = levels_[node.index];
      if (std::optional<InterlockCause> worst = level.Worst(condition.side)) {
        worst->condition = condition.text;
        return *worst;
      }
      cause.found = std::string(ToString(level.Of(condition.side)));
      break;
    }
    case Kind::kAlarm: {
      cause.subject = "alarm " + condition.subject;
      const auto active = active_alarms_.find(condition.subject);
      cause.found =
          active == active_alarms_.end() ? "not active" : "active: " + active->second.text;
      break;
    }
    case Kind::kBus: {
      const int state = bus_sinks_[node.index]->state();
      cause.subject = "bus " + condition.subject;
      cause.found =
          state < 0 ? "not known yet" : std::string(ToString(static_cast<BusState>(state)));
      break;
    }
    case Kind::kInterlock:
      cause.subject = "interlock " + condition.subject;
      cause.found = interlocks_[node.index] == Truth::kFalse ? "clear" : "holding";
      break;
  }
  return cause;
}

void SafetyInputs::AddCauses(const ConditionNode& node, bool wanted,
                             std::vector<InterlockCause>* causes, MonoTime since) const {
  if (Evaluate(node, since) == ToTruth(!wanted)) return;
  const Kind kind = node.condition->kind;
  if (kind != Kind::kAny && kind != Kind::kAll) {
    causes->push_back(CauseOf(node));
    if (!IsReadSince(node, since)) causes->back().found += ", read before the action";
    return;
  }
  for (const ConditionNode& part : node.parts) AddCauses(part, wanted, causes, since);
}

Level SafetyInputs::WorstLevel(const ConditionNode& node) const {
  if (node.condition->kind == Kind::kLevel) return levels_[node.index].level();
  Level worst = Level::kNormal;
  for (const ConditionNode& part : node.parts) worst = std::max(worst, WorstLevel(part));
  return worst;
}

}  // namespace canhub
