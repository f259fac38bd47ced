#include "tests/simulation/mutations.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <utility>

#include "tests/simulation/family_iseg.h"
#include "tests/simulation/mutation_tools.h"
#include "tests/simulation/stores.h"

namespace canhub::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// ---------------------------------------------------------------- buses

// Remembers the last frame that a command sent.
class RemembersCommands : public BusChange {
 public:
  absl::Status Send(BusPort& port, TxFrame frame) override {
    if (frame.urgency == Urgency::kCommand) {
      TxFrame bare{.frame = frame.frame, .urgency = Urgency::kCommand};
      // Questions that a command asks are no harm.
      if ((frame.frame.id & 1) == 0) last_ = bare;
    }
    return port.Send(std::move(frame));
  }

 protected:
  std::optional<TxFrame> last_;
};

// S01: a daemon that starts puts the last set-point back.
class RestoresOnStart final : public RemembersCommands {
 public:
  void OnAttached(BusPort& port) override {
    if (last_) port.Send(*last_).IgnoreError();
  }
};

// S02: a bus that is back gets what waited when it went away.
class RepeatsAfterBusOff final : public RemembersCommands {
 public:
  void OnState(BusState state, BusPort& port) override {
    if (!CanTransmit(state)) {
      away_ = true;
    } else if (std::exchange(away_, false) && last_) {
      port.Send(*last_).IgnoreError();
    }
  }

 private:
  bool away_ = false;
};

// S07: what is too short is filled up, and so becomes a value.
class CompletesFrames final : public BusChange {
 public:
  RxFrame Receive(RxFrame frame) override {
    // A channel's number has seven bytes, and nothing of a channel has six.
    CanFrame& short_one = frame.frame;
    if (short_one.dlc == 6 && (short_one.data[0] & 0xC0) == 0x40) {
      short_one.data[short_one.dlc++] = 0;
    }
    return frame;
  }
};

// S10: safe actions wait behind all others.
class NoHurry final : public BusChange {
 public:
  absl::Status Send(BusPort& port, TxFrame frame) override {
    if (frame.urgency == Urgency::kSafe) frame.urgency = Urgency::kPoll;
    return port.Send(std::move(frame));
  }
};

// ---------------------------------------------------------------- steps

// S04: somebody else keeps a device alive whose actor hangs.
class KeepsAlive final : public Steppable, private FrameSink {
 public:
  KeepsAlive(const Strain* strain, const std::vector<PlannedDevice>& devices,
             std::shared_ptr<CanBus> bus)
      : strain_(strain), devices_(devices), bus_(std::move(bus)) {
    port_ = bus_->Attach({{.id = 0, .mask = 0}}, this);
  }
  MonoTime RunUntil(MonoTime now) override {
    for (const size_t device : strain_->paused) {
      // The last question that it was asked is as good as any: answers have its identifier.
      const auto known = last_id_.find(devices_[device].address & 0x3F);
      if (known == last_id_.end()) continue;
      port_->Send({.frame = MakeFrame(known->second | 1, {0x10, 0x00})}).IgnoreError();
    }
    return now + seconds(1);
  }

 private:
  void OnRx(const RxFrame& frame) override {
    last_id_[frame.frame.id >> 3 & 0x3F] = frame.frame.id & ~uint32_t{7};
  }
  void OnTxReport(const TxReport&) override {}
  void OnBusState(BusState) override {}

  const Strain* const strain_;
  const std::vector<PlannedDevice>& devices_;
  const std::shared_ptr<CanBus> bus_;
  std::map<uint32_t, uint32_t> last_id_;
  std::unique_ptr<BusPort> port_;
};

// S05: leases are looked after now and then.
class NowAndThen final : public Steppable {
 public:
  explicit NowAndThen(Steppable* behind) : behind_(behind) {
    behind_->SetWaker([] {});
  }
  MonoTime RunUntil(MonoTime now) override {
    behind_->RunUntil(now);
    return now + milliseconds(400);
  }

 private:
  Steppable* const behind_;
};

// S12: a clock that lets the wall through.
class LeakyClock final : public Clock {
 public:
  explicit LeakyClock(const SimulatedClock* clock) : clock_(clock), offset_(Offset()) {}
  MonoTime Now() const override { return clock_->Now() + (Offset() - offset_); }
  WallTime WallNow() const override { return clock_->WallNow(); }

 private:
  Duration Offset() const {
    return clock_->WallNow().time_since_epoch() - clock_->Now().time_since_epoch();
  }
  const SimulatedClock* const clock_;
  const Duration offset_;
};

// ---------------------------------------------------------------- the gate, the record

// S08: the first frame of a refused command is sent all the same.
class SendsWhatItRefuses final : public CommandGate, private FrameSink {
 public:
  SendsWhatItRefuses(CommandGate* behind, const std::vector<PlannedDevice>& devices,
                     const std::vector<std::pair<std::string, CanBus*>>& buses)
      : behind_(behind), devices_(devices) {
    for (const auto& [id, bus] : buses) ports_[id] = bus->Attach({}, this);
  }
  void Submit(CommandRequest request, CommandCallback done) override {
    std::optional<CanFrame> frame;
    std::string bus;
    for (const PlannedDevice& device : devices_) {
      if (device.id != request.device_id) continue;
      frame = device.family->FrameOf(request.what, device);
      bus = device.bus;
    }
    const auto in_call = std::make_shared<bool>(true);
    const auto refused = std::make_shared<bool>(false);
    behind_->Submit(std::move(request),
                    [done = std::move(done), in_call, refused](CommandResult result) mutable {
                      *refused = *in_call && !result.status.ok();
                      done(std::move(result));
                    });
    *in_call = false;
    if (*refused && frame) ports_.at(bus)->Send({.frame = *frame}).IgnoreError();
  }
  absl::Status Check(const CommandRequest& request) const override {
    return behind_->Check(request);
  }
  void SubmitFrame(FrameRequest request, CommandCallback done) override {
    behind_->SubmitFrame(std::move(request), std::move(done));
  }
  void SubmitSafeAction(const std::string& device_id, const std::string& action,
                        const std::string& why, CommandCallback done) override {
    behind_->SubmitSafeAction(device_id, action, why, std::move(done));
  }

 private:
  void OnRx(const RxFrame&) override {}
  void OnTxReport(const TxReport&) override {}
  void OnBusState(BusState) override {}
  CommandGate* const behind_;
  const std::vector<PlannedDevice>& devices_;
  std::map<std::string, std::unique_ptr<BusPort>> ports_;
};

// S11: the last entries are in the memory of the daemon only.
class ForgetfulAudit final : public AuditLog {
 public:
  explicit ForgetfulAudit(AuditLog* disk) : disk_(disk) {}
  absl::Status Append(AuditEntry entry) override { return AppendReserved(std::move(entry)); }
  absl::Status AppendReserved(AuditEntry entry) override {
    waiting_.push_back(std::move(entry));
    if (waiting_.size() >= 10) Flush();
    return absl::OkStatus();
  }
  bool writable() const override { return disk_->writable(); }
  std::string problem() const override { return disk_->problem(); }
  absl::StatusOr<AuditPage> Query(const AuditQuery& query) override {
    Flush();
    return disk_->Query(query);
  }
  void Killed() { waiting_.clear(); }

 private:
  void Flush() {
    for (AuditEntry& entry : waiting_) disk_->AppendReserved(std::move(entry)).IgnoreError();
    waiting_.clear();
  }
  AuditLog* const disk_;
  std::vector<AuditEntry> waiting_;
};

// Made for iseg modules: what they send and get is what some of the doubles understand.
std::vector<Mutation> MakeMutations() {
  return {
      {"S01", "a daemon that starts puts the last set-point back",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.kill = 1;
         Lively(options, IsegFamily(), weights);
         ChangeBus<RestoresOnStart>(options);
       }},
      {"S02", "a bus that comes back gets the last command again",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.bus = 1;
         Lively(options, IsegFamily(), weights);
         ChangeBus<RepeatsAfterBusOff>(options);
       }},
      {"S03", "a reader of the cache does not look at the end of GOOD",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.pause = 2;
         Lively(options, IsegFamily(), weights);
         options.doubles.quality = [](const Reading& reading, MonoTime) { return reading.quality; };
       }},
      {"S04", "a thread of its own keeps devices alive whose actor hangs",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.pause = 2;
         Lively(options, IsegFamily(), weights);
         options.doubles.bystander = [](const Strain* strain,
                                        const std::vector<PlannedDevice>& devices,
                                        std::shared_ptr<CanBus> bus) {
           return std::make_unique<KeepsAlive>(strain, devices, std::move(bus));
         };
       }},
      {"S05", "lapsed leases are noticed every 400 ms",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.lease = 4;
         Lively(options, IsegFamily(), weights);
         options.doubles.leases = [](Steppable* leases) {
           return std::make_unique<NowAndThen>(leases);
         };
       }},
      {"S06", "an actor waits for a watch that nobody drains",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.stalled_watch = 2;
         weights.watch = 2;
         Lively(options, IsegFamily(), weights);
         options.doubles.held_up = [](const Strain& strain, size_t devices) {
           std::vector<size_t> held_up;
           if (strain.stalled_watches > 0) held_up.push_back(devices - 1);
           return held_up;
         };
       }},
      {"S07", "an answer that is too short is filled up with zeros",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.malformed = 3;
         Lively(options, IsegFamily(), weights);
         ChangeBus<CompletesFrames>(options);
       }},
      {"S08", "the frame of a refused command goes out",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.forbidden = 4;
         Lively(options, IsegFamily(), weights);
         options.doubles.gate = [](CommandGate* gate, const std::vector<PlannedDevice>& devices,
                                   const std::vector<std::pair<std::string, CanBus*>>& buses) {
           return std::make_unique<SendsWhatItRefuses>(gate, devices, buses);
         };
       }},
      {"S09", "while one device is mute, another waits for it",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.silence = 2;
         Lively(options, IsegFamily(), weights);
         options.doubles.held_up = [](const Strain& strain, size_t devices) {
           std::vector<size_t> held_up;
           for (const size_t mute : strain.mute) held_up.push_back((mute + 1) % devices);
           return held_up;
         };
       }},
      {"S10", "safe actions queue behind all others",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.burst = 5;
         weights.emergency = 5;
         Lively(options, IsegFamily(), weights);
         ChangeBus<NoHurry>(options);
       }},
      {"S11", "the last entries of the record are not on the disk yet",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.kill = 1;
         Lively(options, IsegFamily(), weights);
         const auto audit = std::make_shared<ForgetfulAudit*>(nullptr);
         options.doubles.audit = [audit](AuditLog* disk) {
           auto forgetful = std::make_unique<ForgetfulAudit>(disk);
           *audit = forgetful.get();
           return forgetful;
         };
         options.doubles.killed = [audit] { (*audit)->Killed(); };
       }},
      {"S12", "timers run on the wall clock",
       [](RunOptions& options) {
         Weights weights = kQuiet;
         weights.lease = 6;
         weights.wall_jump = 2;
         Lively(options, IsegFamily(), weights);
         options.doubles.clock = [](const SimulatedClock* clock) {
           return std::make_unique<LeakyClock>(clock);
         };
       }},
  };
}

}  // namespace

const std::vector<Mutation>& Mutations() {
  static const auto* const mutations = new std::vector<Mutation>(MakeMutations());
  return *mutations;
}

}  // namespace canhub::simulation
