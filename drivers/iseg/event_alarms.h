// Turns latched events and bad states into alarms, and clears them when event and state are clear.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/iseg/device_image.h"
#include "drivers/iseg/settings.h"

namespace canhub::iseg {

// On the actor's thread. Alarm codes: "ch3.trip", "safety_loop", "module_lost", ….
class EventAlarms {
 public:
  EventAlarms(const Settings& settings, AlarmSink& alarms, const DeviceImage& image);

  void Rebuild();
  // A read of this DATA_ID has ended.
  void OnRead(uint16_t data_id);
  void OnOnline();
  // `restarted`: it announced itself; otherwise it is silent. Critical when voltage was on.
  void OnOffline(bool restarted, const std::string& why);
  void OnUnsupported(const std::string& text);
  // A safe action could not be proven; stands until one could.
  void OnSafeAction(const absl::Status& status, const std::string& action);
  // A write for which the device set its input-error bit: the alarm names it.
  void NameInputError(int channel, std::string what);

  // True when a channel was on, or above what is safe to touch, at the last word of the device.
  bool VoltageWasOn() const;

 private:
  struct Scope {
    int channel = DeviceImage::kDevice;
    uint32_t active = 0;  // bit n: the alarm of rule n stands
    std::string input_error;
  };
  void UpdateChannel(Scope& scope);
  void UpdateModule();
  void UpdateCrate();

  const Settings settings_;
  AlarmSink& alarms_;
  const DeviceImage& image_;
  Scope device_;
  std::vector<Scope> channels_;
  bool restart_raised_ = false;
  bool safe_action_failed_ = false;
};

}  // namespace canhub::iseg
