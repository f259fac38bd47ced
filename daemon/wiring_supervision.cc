#include "daemon/wiring_supervision.h"

#include <algorithm>

#include "daemon/core/ready_waiters.h"

namespace canhub {
namespace {

using std::chrono::duration_cast;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr size_t kDevicesNamed = 5;

// In steps, so that the status of a lab at rest rests.
std::string AgeText(Duration age) {
  if (age < minutes(1)) return std::to_string(duration_cast<seconds>(age).count()) + " s";
  if (age < hours(1)) return std::to_string(duration_cast<minutes>(age).count()) + " min";
  return std::to_string(duration_cast<hours>(age).count()) + " h";
}

bool Online(const DeviceHealth& device) {
  return device.link == LinkState::kOnline && !device.hangs;
}

std::string WhatIsWrong(const DeviceHealth& device) {
  if (device.hangs) return "its actor hangs";
  if (device.link == LinkState::kLost && device.silent_for) {
    return "silent for " + AgeText(*device.silent_for);
  }
  return NotReadyText(device.link, device.link_text);
}

}  // namespace

std::vector<std::string> LabHealth::Hung() const {
  std::vector<std::string> hung;
  for (const DeviceHealth& device : devices) {
    if (device.hangs) hung.push_back(device.id + ": its actor");
  }
  hung.insert(hung.end(), hung_threads.begin(), hung_threads.end());
  return hung;
}

LabObserver::LabObserver(Lab* lab, Duration ready_timeout)
    : lab_(lab), ready_(std::make_shared<std::atomic<bool>>(false)) {
  Hub& hub = lab->hub();
  hub.WaitReady(hub.clock().Now() + ready_timeout,
                [ready = ready_](const std::vector<std::string>&) { ready->store(true); });
}

LabHealth LabObserver::Look() const {
  Hub& hub = lab_->hub();
  // Before the devices: what has been polled by then is seen as polled.
  LabHealth health{.hung_threads = lab_->HungThreads(kHung),
                   .audit_writable = hub.audit().writable(),
                   .ready = ready_->load()};
  const std::vector<std::string> hung = hub.HungDevices(kHung);
  const MonoTime now = hub.clock().Now();
  for (const Hub::DeviceView& view : hub.devices()) {
    const DeviceIndex i = view.index;
    const std::shared_ptr<const DeviceSnapshot> snapshot = hub.cache().Snapshot(i);
    DeviceHealth device{.id = hub.cache().DeviceId(i),
                        .link = snapshot->link(),
                        .link_text = snapshot->link_text(),
                        .polled = snapshot->polled()};
    device.hangs = std::find(hung.begin(), hung.end(), device.id) != hung.end();
    if (const std::optional<MonoTime> heard = hub.Counters(i).last_frame_time) {
      device.silent_for = now - *heard;
    }
    health.devices.push_back(std::move(device));
  }
  return health;
}

std::string StatusText(const LabHealth& health) {
  const auto count = [&](auto predicate) {
    return std::to_string(
        std::count_if(health.devices.begin(), health.devices.end(), std::move(predicate)));
  };
  const std::string all = std::to_string(health.devices.size());
  std::string text = health.ready
                         ? count(Online) + " of " + all + " devices online"
                         : "starting: " + count([](const DeviceHealth& d) { return d.polled; }) +
                               " of " + all + " devices polled";
  for (const std::string& thread : health.hung_threads) text += "; " + thread + " hangs";
  if (!health.audit_writable) text += "; the audit record cannot be written";
  size_t wrong = 0;
  for (const DeviceHealth& device : health.devices) {
    if (Online(device) && device.polled) continue;
    if (++wrong > kDevicesNamed) continue;
    text += "; " + device.id + ": " + WhatIsWrong(device);
  }
  if (wrong > kDevicesNamed) text += "; and " + std::to_string(wrong - kDevicesNamed) + " more";
  return text;
}

std::string SupervisorNotice::Turn(const LabHealth& health) {
  std::string message;
  const auto say = [&](const std::string& line) {
    message += (message.empty() ? "" : "\n") + line;
  };
  const bool turns = health.Hung().empty();
  if (health.ready && !ready_) {
    say("READY=1");
    ready_ = true;
  }
  if (turns && !ready_) {
    say("EXTEND_TIMEOUT_USEC=" +
        std::to_string(duration_cast<microseconds>(kStartExtension).count()));
  }
  if (turns && watchdog_) say("WATCHDOG=1");
  if (std::string status = StatusText(health); status != status_) {
    say("STATUS=" + status);
    status_ = std::move(status);
  }
  return message;
}

}  // namespace canhub
