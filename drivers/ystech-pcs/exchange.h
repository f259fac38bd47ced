// One request to the device at a time, and which frames are its answer.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "drivers/api/driver.h"
#include "drivers/api/timer_scope.h"
#include "drivers/ystech-pcs/frames.h"

namespace canhub::ystech_pcs {

// States: free → queued → on the wire (from here on its replies can come) → free, with `done`
// called once, or without it after Abandon.
//
// Replies to what sets do not say what they answer (0x0E, 0x10), so there is never more than one
// unanswered: one that was abandoned is waited for, as long as it may take, before the next request
// that has the same reply goes out. Not so for a safe action, whose end the state confirms.
class Exchange {
 public:
  using Replies = std::vector<Message>;  // in the order of Request::replies
  struct Request {
    CanFrame frame;
    Urgency urgency = Urgency::kPoll;
    std::shared_ptr<const CommandGuard> guard = nullptr;
    std::vector<Pf> replies;  // all of these have to come
    int selector = -1;        // value of the replies' first field; -1: any
    Duration timeout{};
    // DEADLINE_EXCEEDED: no reply, or not all of them; or it was too late to send it. UNAVAILABLE:
    // not sent.
    std::function<void(absl::StatusOr<Replies>)> done;
    std::function<void(MonoTime)> on_wire = nullptr;
    // As on_wire, and before it, but also when the request was abandoned and goes out all the same.
    std::function<void()> out = nullptr;
  };

  Exchange(std::string device_id, const Clock& clock, Timers& timers, FrameSender& bus,
           DeviceLog& log);

  bool busy() const { return current_.has_value(); }
  // True while a request of this urgency with this reply has to wait; `free` is called once then.
  bool MustWait(Pf reply) const;
  // Requires !busy().
  void Start(Request request);
  // Nothing is called any more; its reply, if it set something, is waited for.
  void Abandon();
  // The bus is down: nothing comes any more.
  void Reset();

  // Every frame of the device. True: it was (part of) an answer.
  bool OnMessage(const Message& message);
  void OnTxReport(const TxReport& report);
  // When a reply that is owed has come or will not come any more.
  void OnFree(std::function<void()> callback) { free_ = std::move(callback); }

 private:
  struct Current {
    Current(Request r, uint64_t t)
        : request(std::move(r)), replies(request.replies.size()), tag(t) {}
    Request request;
    std::vector<std::optional<Message>> replies;
    uint64_t tag;
    bool on_wire = false;
    TimerId timer = 0;
  };
  void End(absl::StatusOr<Replies> result);
  void OnTimeout();
  // The replies that are missing must not be taken for those of the next request.
  void Owe();
  absl::Status NotSent(const std::string& why, absl::StatusCode code) const;

  const std::string device_id_;
  const Clock& clock_;
  TimerScope timers_;
  FrameSender& bus_;
  DeviceLog& log_;
  std::function<void()> free_;
  std::optional<Current> current_;
  uint64_t last_tag_ = 0;
  std::map<uint64_t, std::function<void()>> outs_;  // by tag, until the bus has reported
  std::map<Pf, MonoTime> owed_;  // replies of abandoned requests → until when they may come
};

// "SetModeReply (0x0E)".
std::string FrameName(Pf pf);

}  // namespace canhub::ystech_pcs
