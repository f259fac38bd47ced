// Finds a device, logs it on, identifies it, and notices when it is gone, has restarted, or shares
// its bus with another master.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "drivers/api/driver.h"
#include "drivers/iseg/device_image.h"
#include "drivers/iseg/models.h"
#include "drivers/iseg/settings.h"
#include "drivers/iseg/transaction_queue.h"

namespace canhub::iseg {

// What the identification found.
struct Identified {
  ModuleIdentity identity;
  std::string firmware_release;
  std::optional<int> bit_rate;  // kbit/s
  int channels = 0;
  Features features = 0;
  std::vector<std::string> quirks;
};

// On the actor's thread. States:
//   bus down ──bus up──▶ searching ──answers 0x1200──▶ identifying ──all asked──▶ online
//   searching ──only DCP's E0 answered──▶ unsupported ──announcement, or after a pause──▶ searching
//   online ──announces itself──▶ identifying    online ──silent──▶ lost ──answers──▶ identifying
//   any ──bus down──▶ bus down
// Never sends anything that sets (S01): log-on, reads, and 0x12A0 where the configuration says so.
class Session {
 public:
  struct Events {
    std::function<void(LinkState, const std::string& text)> link;
    std::function<void(const Identified&)> online;
    // It was online; `restarted`: it announced itself, else it fell silent. Not for a bus that is
    // down.
    std::function<void(bool restarted, const std::string& why)> offline;
  };
  Session(const Settings& settings, const Clock& clock, Timers& timers, TransactionQueue& queue,
          DeviceLog& log, Events events);

  void Start();
  void OnBusDown(BusState state);
  void OnBusUp();
  void OnAnnouncement(const Answer& announcement);
  void OnBootLoader(const Answer& answer);
  // A read had no answer, for the `consecutive`-th time.
  void OnUnanswered(int consecutive);
  // Values of identity reads: the driver hands every wanted answer here before the queue. True: the
  // text that is being read is complete.
  bool OnAnswer(const Answer& answer);
  // Forgets the device and searches again (restart_scan).
  void Restart(Duration pause);

  LinkState state() const { return state_; }
  bool online() const { return state_ == LinkState::kOnline; }

 private:
  struct Probe {
    uint16_t data_id;
    int channel = -1;
    bool text = false;
  };

  void SetState(LinkState state, const std::string& text);
  void Search();
  void SearchAgain(Duration pause);
  void AskDcpIdentity();
  void LogOn();
  void Identify();
  void NextProbe();
  void ReadProbe(const Probe& probe);
  void ProbeDone(const Probe& probe, const ReadResult& result);
  void Finish();
  std::string Where() const;
  std::string AnnouncedText() const;

  const Settings settings_;
  const Clock& clock_;
  TransactionQueue& queue_;
  DeviceLog& log_;
  const Events events_;
  TimerScope timers_;

  LinkState state_ = LinkState::kBusDown;
  std::string state_text_;
  bool bus_up_ = false;
  TimerId search_timer_ = 0;
  // Rises whenever the state is left: answers to an older one's reads count for nothing.
  int generation_ = 0;
  int device_class_ = -1;
  bool was_lost_ = false;
  bool checking_ = false;
  bool logged_unsupported_ = false;

  std::vector<Probe> probes_;
  size_t next_probe_ = 0;
  int probes_unanswered_ = 0;
  std::map<uint16_t, Value> values_;  // of this identification
  std::optional<DcpIdentity> dcp_identity_;
  int dcp_rounds_ = 0;  // searches in a row that only DCP answered
  TextAssembler article_;
};

}  // namespace canhub::iseg
