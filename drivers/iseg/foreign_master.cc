#include "drivers/iseg/foreign_master.h"

namespace canhub::iseg {

ForeignMaster::ForeignMaster(const Clock& clock, Timers& timers, AlarmSink& alarms, DeviceLog& log)
    : clock_(clock), alarms_(alarms), log_(log), timers_(timers) {}

void ForeignMaster::Saw(const CanFrame& frame, std::string_view what) {
  ++count_;
  last_ = clock_.Now();
  log_.CountBadFrame("foreign_master", FormatFrame(frame) + ": " + std::string(what));
  if (raised_) return;
  raised_ = true;
  alarms_.Raise(kAlarm, AlarmSeverity::kWarning,
                "another master talks to this device (first frame " + FormatFrame(frame) + ": " +
                    std::string(what) +
                    "); set values may change under your hands: stop one of the two masters");
  timers_.At(last_ + kGoneAfter, [this] { Look(); });
}

void ForeignMaster::Look() {
  if (clock_.Now() < last_ + kGoneAfter) {
    timers_.At(last_ + kGoneAfter, [this] { Look(); });
    return;
  }
  raised_ = false;
  alarms_.Clear(kAlarm);
}

}  // namespace canhub::iseg
