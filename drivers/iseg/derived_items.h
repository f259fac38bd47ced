// Items that no register holds: limits in volt, ramps in force, summaries, counters, the host's
// latches of error events. Also narrows what may be written to what this device allows.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

#include "drivers/iseg/device_image.h"
#include "drivers/iseg/settings.h"

namespace canhub::iseg {

// On the actor's thread.
class DerivedItems {
 public:
  DerivedItems(const Settings& settings, const Clock& clock, StatePublisher& state,
               DeviceImage& image);

  // After the image was rebuilt.
  void Rebuild();
  // A read of this DATA_ID has ended: publishes what follows from it.
  void OnRead(uint16_t data_id, Duration fast_period);
  // What does not come from the device: address, line, cycle time, is_alive.
  void PublishStatics(Duration fast_period);
  void OnOffline();
  // A clear of events was confirmed: the host's latches go as well. -1: device and all channels.
  void ClearLatches(int channel);

 private:
  using OptionalId = std::optional<ItemId>;
  struct Latch {
    OptionalId item;
    uint32_t bits;  // of the event register
  };
  // Event bookkeeping of one channel, or of the device itself.
  struct Events {
    int channel = DeviceImage::kDevice;
    OptionalId status, event_status, running_state, error_counter, event_counter;
    std::vector<Latch> latches;
    uint32_t last_events = 0;
    uint32_t latched = 0;
    int64_t errors = 0;
    int64_t events = 0;
  };
  struct ChannelIds {
    OptionalId voltage_set, current_set, voltage_measure, voltage_nominal, current_nominal,
        voltage_bounds, voltage_limit, current_limit, ramp_up, ramp_down;
    OptionalId limit_percent, current_limit_percent;  // the module's, or of the channel's index
    OptionalId is_ramp_up, is_ramp_down, is_upper, is_lower;  // narrow devices only
    OptionalId output_mode, output_polarity, voltage_mode, current_mode;
  };

  Events FindEvents(int channel) const;
  void PublishFrom(OptionalId item, std::initializer_list<OptionalId> sources, const Value& value);
  std::optional<double> Number(OptionalId item) const;
  std::optional<uint32_t> Bits(OptionalId item) const;
  void UpdateLimits(int channel);
  void UpdateRamps(int channel);
  void UpdateFlags(int channel);
  void UpdateModes(int channel);
  void UpdateEvents(Events& events);
  void UpdateRunningState(const Events& events);
  void UpdateDevice();
  void UpdateCrate();

  const Settings settings_;
  const Clock& clock_;
  StatePublisher& state_;
  DeviceImage& image_;
  Events device_;
  std::vector<Events> channel_events_;
  std::vector<ChannelIds> channels_;
  OptionalId ramp_percent_, is_alive_, cycle_counter_, cycle_time_, address_, line_;
  OptionalId crate_battery_good_, crate_supply_good_, crate_battery_event_, crate_supply_event_;
  int64_t cycles_ = 0;
};

}  // namespace canhub::iseg
