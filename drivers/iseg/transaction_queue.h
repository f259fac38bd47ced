// Every frame a driver sends goes through here: one read under way at a time, time-outs, retries,
// and the order in which things that wait are sent.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "drivers/api/can_bus.h"
#include "drivers/api/driver.h"
#include "drivers/api/timer_scope.h"
#include "drivers/iseg/edcp.h"

namespace canhub::iseg {

// A smaller value goes first.
enum class Priority : uint8_t { kSafe, kCommand, kReadBack, kSession, kRefresh, kPoll };
Urgency UrgencyOf(Priority priority);

// Whose a transaction is: a command's id, or 0 for the driver's own.
using OwnerId = uint64_t;

struct ReadResult {
  // OK: every answer came, some perhaps without data. DEADLINE_EXCEEDED: not all came, after all
  // tries. UNAVAILABLE: the request could not be sent.
  absl::Status status;
  int answers = 0;
  // Channels (or 1 for a read with one answer) that did not answer.
  uint64_t unanswered = 0;
};

struct ReadRequest {
  enum class Answers : uint8_t {
    kOne,       // one answer; its channel, if it has one, is `first`
    kChannels,  // one from each of the channels first … first + count - 1, or those of `wanted`
    kIndexed,   // group: `count` answers; 0: as many as come until the time-out
    kPieces,    // text in pieces: until it is complete (TransactionQueue::EndOutstanding)
    kRaw,       // anything with this DATA_ID: `count` answers
  };
  CanFrame frame;
  bool dcp = false;      // data_id is DCP's 8-bit one
  uint16_t data_id = 0;  // the folded one: 0x4102 also for a multiple read
  Answers answers = Answers::kOne;
  int first = -1;
  int count = 1;
  uint64_t wanted = 0;  // kChannels: bit n = channel n; 0: all from first on
  Duration timeout = std::chrono::milliseconds(50);
  int tries = 1;
  Priority priority = Priority::kPoll;
  OwnerId owner = 0;
  std::shared_ptr<const CommandGuard> guard;
  // Called for every answer that was accepted, before done. May be empty.
  std::function<void(const Answer&)> on_answer;
  std::function<void(const ReadResult&)> done;
};

struct WriteRequest {
  CanFrame frame;
  Priority priority = Priority::kCommand;
  OwnerId owner = 0;
  std::shared_ptr<const CommandGuard> guard;
  // What became of the frame; not called for a write that CancelOwner removed.
  std::function<void(TxOutcome, MonoTime)> done;
};

// On the actor's thread. Callbacks may add and cancel transactions. Everything outlives it.
class TransactionQueue {
 public:
  struct Events {
    // Nothing is under way and nothing waits: time for a poll.
    std::function<void()> idle;
    // A try of a read was not answered; `consecutive` since the last answer of any kind.
    std::function<void(int consecutive)> unanswered;
  };
  TransactionQueue(DeviceAddress address, const Clock& clock, Timers& timers, FrameSender& bus,
                   DeviceLog& log, Events events);

  void Read(ReadRequest request);
  void Write(WriteRequest request);
  // Sends what may be sent now; calls `idle` when there is nothing.
  void Pump();

  enum class Match : uint8_t {
    kWanted,    // answers the read under way
    kRepeated,  // answers a read that is over, or answers it again
    kUnasked,   // nobody here asked: another master's write, or an answer to another master
  };
  Match Classify(const Answer& answer) const;
  // Takes a wanted answer whose value is right; a wrong one is not accepted and is asked again.
  void Accept(const Answer& answer);
  // Ends the read under way as complete (a text whose last piece came).
  void EndOutstanding();
  void OnTxReport(const TxReport& report);

  // Forgets what `owner` has waiting; its callbacks are not called any more. Frames at the bus are
  // the guard's business.
  void CancelOwner(OwnerId owner);
  // True while a write frame of another owner is at the bus and may still go out.
  bool WritesInFlightOfOthers(OwnerId owner) const;
  // The bus is down, or the device is lost: everything that waits ends with `why`.
  void Flush(const absl::Status& why);

  bool idle() const;
  MonoTime last_sent() const { return last_sent_; }

 private:
  struct Outstanding {
    ReadRequest request;
    uint64_t tag = 0;
    uint64_t missing = 0;  // kOne, kChannels
    uint64_t seen = 0;     // kIndexed, kPieces: indices below 64 that came
    int answers = 0;
    int tries_left = 0;
    MonoTime last_activity{};
    MonoTime expires{};
    bool on_wire = false;
    bool unsent = false;  // the bus took it back: no time-out of the device's
  };
  struct InFlight {
    WriteRequest request;
    MonoTime given_up_at{};
  };
  struct Recent {
    bool dcp;
    uint16_t data_id;
    MonoTime until;
  };

  void PumpOnce();
  bool SendNextWrite();
  bool SendNextRead();
  void SendOutstanding();
  void Remember();
  void ArmTimer();
  MonoTime Expiry() const;
  void OnTimer();
  void RetryOrFinish();
  void Finish(absl::Status status);
  bool HigherReadWaits() const;
  void RetrySoon();

  const DeviceAddress address_;
  const Clock& clock_;
  FrameSender& bus_;
  DeviceLog& log_;
  const Events events_;
  TimerScope timers_;

  std::deque<ReadRequest> reads_[6];
  std::deque<WriteRequest> writes_[6];
  std::optional<Outstanding> outstanding_;
  std::map<uint64_t, InFlight> in_flight_;
  std::deque<Recent> recent_;
  TimerId timer_ = 0;
  TimerId retry_timer_ = 0;
  uint64_t last_tag_ = 0;
  int silent_tries_ = 0;
  MonoTime last_sent_{};
  bool pumping_ = false;
  bool pump_again_ = false;
};

}  // namespace canhub::iseg
