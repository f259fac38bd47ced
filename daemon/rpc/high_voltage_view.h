// The items of the kind "high_voltage" as typed messages.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "canhub/v1/high_voltage_service.pb.h"
#include "daemon/core/state_cache.h"
#include "daemon/rpc/convert.h"

namespace canhub {

// One moment of one device. Making it takes microseconds: it looks every name up, once. The
// snapshot outlives it.
class HighVoltageView {
 public:
  HighVoltageView(const DeviceSnapshot& snapshot, const TimeView& time);

  // 0 when there are none, or they are not known yet.
  int channel_count() const { return channel_count_; }
  bool is_crate() const;
  // Whether the device has been identified, so that its items are known.
  bool identified() const { return snapshot_.items().size() > 0; }

  // The channel an item belongs to; nullopt for the module's own.
  std::optional<int> ChannelOf(ItemId item) const;
  // Requires channel < channel_count().
  void SetChannel(int channel, v1::HighVoltageChannel* out) const;
  void SetModule(const std::string& device_id, v1::HighVoltageModule* out) const;
  void SetCrate(const std::string& device_id, v1::Crate* out) const;

  // Of a channel, when it is GOOD; without a view of all the rest.
  static std::optional<double> MeasuredVoltage(const DeviceSnapshot& snapshot, MonoTime now,
                                               uint32_t channel);

 private:
  // Indexes into the channel block's specs; -1: this model does not have it.
  struct ChannelSpecs {
    int voltage_measure, current_measure, voltage_set, current_set, voltage_nominal,
        current_nominal, voltage_limit, current_limit, voltage_bounds, current_bounds, ramp_up,
        ramp_down, status, event_status, is_on, is_ramping, is_tripped, is_emergency_off,
        is_inhibited, trip_event;
  };
  struct Bit {
    int bit;
    bool inverted;
    const char* name;  // of the item, in its table: "is_trip"

    bool IsTrue(uint32_t word) const { return (((word >> bit) & 1) != 0) != inverted; }
  };

  std::vector<Bit> BitsOf(const ItemBlock& block, int register_spec) const;
  Reading ReadChannel(int channel, int spec) const;
  std::optional<Reading> ReadNamed(const char* name) const;
  bool Good(const Reading& reading) const {
    return reading.EffectiveQuality(time_.now()) == Quality::kGood;
  }
  // Only of GOOD readings.
  static std::optional<double> NumberAt(MonoTime now, const std::optional<Reading>& reading);
  std::optional<double> Number(const std::optional<Reading>& reading) const {
    return NumberAt(time_.now(), reading);
  }
  std::optional<bool> Flag(const std::optional<Reading>& reading) const;
  std::optional<uint32_t> Word(const std::optional<Reading>& reading) const;
  // "supply_24v" → {"24v", 24.1}, for all GOOD numbers of the device itself with this prefix.
  template <typename Map>
  void SetPrefixed(std::string_view prefix, Map* out) const;
  template <typename Repeated>
  void SetRegisterNames(const char* register_name, uint32_t word, Repeated* out) const;
  std::string Identity(const char* key) const;
  v1::Quality QualityOf(const std::optional<Reading>& reading) const;

  const DeviceSnapshot& snapshot_;
  const TimeView& time_;
  int channel_block_ = -1;
  int channel_count_ = 0;
  ChannelSpecs specs_{};
  std::vector<Bit> status_bits_, event_bits_;
};

}  // namespace canhub
