// Questions to one unit: ordered by rank, one on the bus at a time, in this device's turn at the
// gateway.
//
//   waiting → (the turn, then the bus takes the frame) → sent → on the wire → answered
//   waiting ← busy, or an unanswered read with tries left ←──────────────┘ or timed out
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "drivers/api/driver.h"
#include "drivers/api/timer_scope.h"
#include "drivers/studer/codec.h"

namespace canhub::studer {

// A smaller one goes first. Safe actions wait for no turn: the gateway buffers frames (section 5).
enum class Rank : int { kSafe = 0, kCommand = 1, kFresh = 2, kPoll = 3 };

struct Outcome {
  // OK: `value` is the answer. STUDER_ERROR: the unit's or gateway's error. Others: no answer.
  absl::Status status;
  float value = 0;
  uint32_t error_code = 0;  // 0: none came
  MonoTime time{};
  // Whether the unit may have got the question, and whether its time for the answer was over.
  bool sent = false;
  bool timed_out = false;
  bool answered() const { return status.ok() || error_code != 0; }
};

struct Question {
  uint16_t unit = 0;
  Service service = Service::kReadInfo;
  uint16_t object = 0;
  Part part = Part::kFlash;
  float value = 0;
  Rank rank = Rank::kPoll;
  // Of writes: put into the frame, and asked before.
  std::shared_ptr<const CommandGuard> guard = nullptr;
  uint64_t owner = 0;  // for Drop; 0: nobody's
  // How often it is asked while no answer comes. Writes: once, nothing is repeated that may have
  // been done (S01).
  int tries = 1;
  // Of writes: whether one that the unit says failed (0x29) goes out once more; it counts it.
  // nullptr: it does not.
  std::function<bool()> repeat = nullptr;
  std::function<void(Stage, MonoTime)> reached = nullptr;  // kSent, kOnWire: of the first try
  std::function<void(const Outcome&)> done = nullptr;      // once, unless it is dropped
};

// On the actor's thread; everything outlives it.
class ExchangeQueue {
 public:
  struct Options {
    std::string device_id;
    uint16_t client = 0;
    Duration timeout{};
  };
  // How long a frame may wait for the line. With the longest timeout it ends within Turn::kLongest.
  static constexpr Duration kSendLimit = std::chrono::milliseconds(200);
  // A gateway that is busy is asked again after this, and so often; a unit that failed to do it,
  // once.
  static constexpr Duration kBusyDelay = std::chrono::milliseconds(50);
  static constexpr int kMostBusy = 5;
  // A safe action is asked again every kBusyDelay for this long: several questions may block the
  // gateway one after the other, each for a time-out.
  static constexpr Duration kSafeBusyLimit = std::chrono::seconds(10);

  ExchangeQueue(Options options, const Clock& clock, Timers& timers, FrameSender& bus, Turn& turn,
                DeviceLog& log);
  ~ExchangeQueue();

  void Add(Question question);
  // False: not what was asked.
  bool OnAnswer(const Answer& answer, MonoTime time);
  void OnTxReport(const TxReport& report);
  void OnTurn();
  // Forgets this owner's questions. True: one of them may have reached the unit.
  bool Drop(uint64_t owner);
  // Forgets all; the turn is given back.
  void Clear();
  size_t size() const { return waiting_.size() + (current_ ? 1 : 0); }

 private:
  struct Waiting {
    Question question;
    MonoTime not_before{};
    MonoTime first_sent{};
    int tries = 0;  // so far
    int busy = 0;   // so far
    bool failed = false;
    Stage reached = Stage::kAccepted;
  };
  struct Current {
    Waiting asked;
    std::shared_ptr<CommandGuard> guard;  // of a write: its frame can be taken back
    uint64_t tag = 0;
    bool on_wire = false;
    TimerId timer = 0;
  };

  void Pump();
  bool SafeActionWaits() const;
  // The next to be sent, nullptr when none may go now; `wake` is when to look again. Nothing passes
  // a safe action, not even one that waits to be asked again.
  Waiting* Next(MonoTime now, MonoTime* wake);
  void Send(Waiting waiting);
  // A frame that waits for the line does not go out any more.
  void Withdraw();
  void Reached(Stage stage, MonoTime time);
  void OnTimeout();
  void OnError(const Answer& answer, MonoTime time);
  // Puts the current question back to the front.
  void AskAgain(Duration delay);
  void Finish(Outcome outcome);
  std::string Describe(const Question& question) const;

  const Options options_;
  const Clock& clock_;
  TimerScope timers_;
  FrameSender& bus_;
  Turn& turn_;
  DeviceLog& log_;
  std::deque<Waiting> waiting_;
  std::optional<Current> current_;
  uint64_t last_tag_ = 0;
  TimerId wake_ = 0;
  bool pumping_ = false;
};

}  // namespace canhub::studer
