#include "drivers/dbc/simulator.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <utility>

#include "drivers/api/simulated_faults.h"
#include "drivers/api/timer_scope.h"
#include "drivers/dbc/message_map.h"

namespace canhub::dbc_device {
namespace {

// Frames from one end of a signal's range to the other and back.
constexpr int kSwing = 100;

class DbcSimulator final : public Simulator {
 public:
  DbcSimulator(SimulatorContext context, Settings settings)
      : context_(context),
        map_(settings),
        timers_(context.timers),
        random_(context.seed),
        faults_(Faults()) {}

  void Start() override {
    for (size_t i = 0; i < map_.messages().size(); ++i) {
      const MappedMessage& mapped = map_.messages()[i];
      if (mapped.writable) continue;
      sent_.resize(map_.messages().size());
      timers_.Every(mapped.period, [this, i] { Send(i); });
    }
  }
  void OnFrame(const RxFrame&) override {}
  absl::Status InjectFault(std::string_view fault, const Arguments& arguments) override {
    absl::Status status = faults_.Check(fault, arguments);
    if (status.ok()) faults_.Add(fault, arguments);
    return status;
  }
  absl::StatusOr<int> ClearFaults(std::string_view fault) override { return faults_.Clear(fault); }
  std::vector<std::pair<std::string, Arguments>> ActiveFaults() const override {
    return faults_.active();
  }
  absl::Status SetLoad(std::optional<int>, std::optional<double>, std::optional<double>) override {
    return absl::UnimplementedError("a device of a DBC has no load that is known");
  }

 private:
  void Send(size_t index) {
    const dbc::Message& message = *map_.messages()[index].message;
    CanFrame frame{.id = message.id,
                   .extended = message.extended,
                   .dlc = static_cast<uint8_t>(message.length)};
    const int turn = sent_[index]++;
    const std::span<uint8_t> bytes(frame.data.data(), frame.dlc);
    std::vector<std::optional<int64_t>> pages(message.signals.size());
    for (const int at : message.order) {
      const dbc::Signal& signal = message.signals[static_cast<size_t>(at)];
      if (signal.selected_by >= 0) {
        const std::optional<int64_t> page = pages[static_cast<size_t>(signal.selected_by)];
        const bool here = page && std::any_of(signal.pages.begin(), signal.pages.end(),
                                              [&](const dbc::PageRange& range) {
                                                return range.first <= *page && *page <= range.last;
                                              });
        if (!here) continue;
      }
      const dbc::Bits bits = signal.selector ? Page(message, at, turn) : ValueOf(signal, turn + at);
      if (signal.selector) pages[static_cast<size_t>(at)] = static_cast<int64_t>(bits);
      dbc::InsertBits(signal, bits, bytes);
    }
    if (faults_.Active("all_ones")) frame.data.fill(0xFF);
    if (!faults_.Distort(&frame, random_)) return;
    // A line that is full loses it, as a real one does.
    context_.bus.Send({.frame = frame}).IgnoreError();
  }

  // The pages that some signal is on, in turn.
  static dbc::Bits Page(const dbc::Message& message, int selector, int turn) {
    std::vector<int64_t> pages;
    for (const dbc::Signal& signal : message.signals) {
      if (signal.selected_by != selector) continue;
      for (const dbc::PageRange& range : signal.pages) pages.push_back(range.first);
    }
    std::sort(pages.begin(), pages.end());
    pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
    if (pages.empty()) return 0;
    const int64_t page = pages[static_cast<size_t>(turn) % pages.size()];
    const auto bits = message.signals[static_cast<size_t>(selector)].FromRaw(page);
    return bits.ok() ? *bits : dbc::Bits{0};
  }

  static dbc::Bits ValueOf(const dbc::Signal& signal, int turn) {
    if (signal.start_value && !signal.is_float) {
      if (const auto bits = signal.FromRaw(*signal.start_value); bits.ok()) return *bits;
    }
    const int phase = turn % kSwing;
    const double share = static_cast<double>(std::min(phase, kSwing - phase)) / (kSwing / 2);
    const double most =
        std::ldexp(1, std::min(signal.is_signed ? signal.length - 1 : signal.length, 52)) - 1;
    const double low = signal.minimum.value_or(signal.is_float ? -100 : signal.offset);
    const double high =
        signal.maximum.value_or(signal.is_float ? 100 : signal.offset + most * signal.factor);
    const auto bits = signal.FromPhysical(low + (high - low) * share);
    return bits.ok() ? *bits : dbc::Bits{0};
  }

  SimulatorContext context_;
  const MessageMap map_;
  TimerScope timers_;
  std::mt19937_64 random_;
  SimulatedFaults faults_;
  std::vector<int> sent_;
};

}  // namespace

const std::vector<FaultSpec>& Faults() {
  static const std::vector<FaultSpec>* const kFaults = new std::vector<FaultSpec>([] {
    std::vector<FaultSpec> faults = LineFaults();
    // It answers nobody.
    std::erase_if(faults, [](const FaultSpec& f) { return std::string_view(f.name) == "delay"; });
    faults.push_back({"all_ones", "every bit of its frames is 1", {}});
    return faults;
  }());
  return *kFaults;
}

std::unique_ptr<Simulator> CreateSimulator(SimulatorContext context) {
  absl::StatusOr<Settings> settings = ParseSettings(context.config);
  if (!settings.ok()) return nullptr;  // the configuration has been checked
  return std::make_unique<DbcSimulator>(context, *std::move(settings));
}

}  // namespace canhub::dbc_device
