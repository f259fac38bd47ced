#include "drivers/ystech-pcs/command_engine.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/power_converter.h"
#include "drivers/ystech-pcs/faults.h"
#include "drivers/ystech-pcs/items.h"

namespace canhub::ystech_pcs {
namespace {

namespace item = power_converter::item;
using absl::StatusCode;

constexpr char kOvertaken[] = "OVERTAKEN_BY_SAFE_ACTION";
// In the memory: a value that was put there and not sent, when none was known before.
constexpr char kNotKnown[] = "";

// Items whose values are remembered.
std::vector<const char*> SentItems() {
  std::vector<const char*> items = {item::kSelfStart};
  for (const SettingFrame& frame : SettingFrames()) {
    if (!frame.stored) items.insert(items.end(), frame.items.begin(), frame.items.end());
  }
  return items;
}

std::optional<Value> ParseRemembered(const char* name, const std::string& text) {
  const ItemRow& row = ItemRows()[IdOf(name)];
  if (row.spec.type == ValueType::kFlag) {
    if (text != "true" && text != "false") return std::nullopt;
    return Value::Flag(text == "true");
  }
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (end != text.c_str() + text.size() || text.empty() || !std::isfinite(number)) {
    return std::nullopt;
  }
  return Value::Number(number);
}

bool Success(const Message& reply) {
  const bool selected = IsType<SelectedReply>(reply.pf);
  return selected ? As<SelectedReply>(reply).success() : As<PlainReply>(reply).success();
}

}  // namespace

std::string MemoryKey(std::string_view item) { return "sent." + std::string(item); }

CommandEngine::CommandEngine(Parts parts, Timers& timers)
    : parts_(std::move(parts)), timers_(timers) {
  parts_.exchange.OnFree([this] {
    if (job_ == nullptr || !job_->once_free || parts_.exchange.MustWait(job_->owed)) return;
    std::exchange(job_->once_free, nullptr)();
  });
}

CommandEngine::~CommandEngine() {
  if (job_ != nullptr && job_->keeps_self_start) PutBackSelfStart();
}

void CommandEngine::Start() {
  for (const char* name : SentItems()) {
    const std::optional<std::string> text = parts_.memory.Get(MemoryKey(name));
    if (!text) continue;
    const std::optional<Value> value = ParseRemembered(name, *text);
    if (!value) continue;
    parts_.image.SetRemembered(IdOf(name), *value);
    if (std::string_view(name) == item::kSelfStart) {
      self_start_ = value->flag();
      parts_.log.Log(LogLevel::kWarning,
                     "self-start is remembered as " + *text +
                         " from before the restart; the device does not tell it, and a change at "
                         "its display is not known. It is sent with the next start or stop");
    }
  }
}

// ---------------------------------------------------------------- commands in and out

void CommandEngine::Execute(Command command, bool online) {
  if (command.urgency == Urgency::kSafe) {
    AbortAll(Error(StatusCode::kAborted, kOvertaken, "a safe action overtook the command"));
    return Begin(std::move(command));
  }
  if (!online) {
    parts_.reporter.Finish(command.id,
                           Error(StatusCode::kUnavailable, "DEVICE_OFFLINE",
                                 "the converter does not report; nothing was sent, try again once "
                                 "it is online"));
    return;
  }
  queue_.push_back(std::move(command));
  RunQueue();
}

void CommandEngine::RunQueue() {
  if (job_ != nullptr || queue_.empty()) return;
  Command command = std::move(queue_.front());
  queue_.pop_front();
  Begin(std::move(command));
}

void CommandEngine::Begin(Command command) {
  Release();
  job_ = std::make_unique<Job>();
  job_->safe = command.urgency == Urgency::kSafe;
  job_->guard = std::make_shared<CommandGuard>(command.guard);
  job_->command = std::move(command);
  if (const auto* call = std::get_if<ActionCall>(&job_->command.what)) {
    job_->name = call->name;
    if (absl::Status status = Plan(*call); !status.ok()) return Fail(status);
  } else {
    job_->name = "a set-point";
    PlanSetPoints(std::get<std::vector<ItemWrite>>(job_->command.what));
  }
  Next();
}

void CommandEngine::Cancel(CommandId id, const absl::Status& why) {
  if (job_ != nullptr && job_->command.id == id) {
    Release();
    return Fail(why);
  }
  const auto waiting = std::find_if(queue_.begin(), queue_.end(),
                                    [id](const Command& command) { return command.id == id; });
  if (waiting == queue_.end()) return;
  queue_.erase(waiting);
  parts_.reporter.Finish(id, Annotate(why, "nothing was sent: "));
}

void CommandEngine::AbortAll(const absl::Status& why) {
  for (const Command& command : std::exchange(queue_, {})) {
    parts_.reporter.Finish(command.id, Annotate(why, "nothing was sent: "));
  }
  if (job_ == nullptr) return;
  Release();
  Fail(why);
}

// Takes the exchange back, from a step of the job or from the poller.
void CommandEngine::Release() {
  parts_.poller.GiveWay();
  parts_.exchange.Abandon();
}

void CommandEngine::OnLost(const absl::Status& why) {
  if (job_ != nullptr && job_->safe) return;  // it goes on trying
  AbortAll(why);
}

void CommandEngine::OnStatus() {
  if (job_ == nullptr || !job_->watching) return;
  // It may fail, and with it the job.
  const std::function<bool()> watching = job_->watching;
  if (!watching()) return;
  if (job_ == nullptr) return;
  job_->watching = nullptr;
  timers_.Cancel(job_->timer);
  // A stop that has come into force needs no reply.
  Release();
  Next();
}

// ---------------------------------------------------------------- steps

void CommandEngine::Next() {
  if (job_->steps.empty()) return Succeed();
  if (absl::Status status = RequireTime(); !status.ok()) return Fail(status);
  const std::function<void()> step = std::move(job_->steps.front());
  job_->steps.pop_front();
  step();
}

// The bus would not send it any more, either, but this says so at once (S02).
absl::Status CommandEngine::RequireTime() const {
  if (job_->safe || job_->guard->MaySend(parts_.clock.Now())) return absl::OkStatus();
  if (job_->guard->revoked()) {
    return Error(StatusCode::kAborted, "COMMAND_REVOKED", "the command was withdrawn");
  }
  return Error(StatusCode::kDeadlineExceeded, "DEADLINE_PASSED",
               "the deadline passed before the command was done");
}

void CommandEngine::ThenCheck(std::function<absl::Status()> check) {
  Then([this, check = std::move(check)] {
    const absl::Status status = check();
    if (status.ok()) return Next();
    Fail(status);
  });
}

void CommandEngine::Ask(Exchange::Request request) {
  const absl::StatusOr<Message> message = Decode(request.frame, parts_.settings.codec);
  if (message.ok() && message->pf == Pf::kStartStop) {
    request.out = [this, on = As<StartStop>(*message).self_start != 0] { OnSelfStartOut(on); };
  }
  request.urgency = job_->command.urgency;
  request.guard = job_->guard;
  parts_.exchange.Start(std::move(request));
}

void CommandEngine::ThenRead(ReadRequest read) {
  Then([this, read = std::move(read)] {
    Ask({.frame = read.frame,
         .replies = read.replies,
         .timeout = parts_.settings.reply_timeout,
         .done = [this](const absl::StatusOr<Exchange::Replies>& replies) {
           if (replies.ok()) return Next();
           Fail(replies.status());
         }});
  });
}

void CommandEngine::ThenSet(MakeFrame make, Pf reply, int selector, std::string what, bool last) {
  Then([this, make = std::move(make), reply, selector, what = std::move(what), last] {
    const auto send = [this, make, reply, selector, what, last] {
      if (absl::Status status = RequireTime(); !status.ok()) return Fail(status);
      const absl::StatusOr<CanFrame> frame = make();
      if (!frame.ok()) return Fail(Annotate(frame.status(), parts_.config.id + ": "));
      Ask({.frame = *frame,
           .replies = {reply},
           .selector = selector,
           .timeout = parts_.settings.reply_timeout,
           .done = [this, what](const absl::StatusOr<Exchange::Replies>& r) { OnSet(r, what); },
           .on_wire = [this, what, last](MonoTime time) { OnWire(what, last, time); }});
    };
    if (!job_->safe && parts_.exchange.MustWait(reply)) {
      job_->owed = reply;
      job_->once_free = send;
      return;
    }
    send();
  });
}

void CommandEngine::OnWire(const std::string& what, bool last, MonoTime time) {
  const std::string sent = what + " was sent";
  if (job_->done.empty() || job_->done.back() != sent) job_->done.push_back(sent);
  if (!last) return;
  Reach(Stage::kSent, time);
  Reach(Stage::kOnWire, time);
  // A safe action goes on until the device has done it.
  if (job_->command.wait_for != Stage::kSent || job_->safe || job_->ended) return;
  // The caller does not wait for more; the job goes on, and its end stands in the log.
  job_->ended = true;
  parts_.reporter.Finish(job_->command.id, absl::OkStatus());
}

void CommandEngine::OnSet(const absl::StatusOr<Exchange::Replies>& replies,
                          const std::string& what) {
  if (!replies.ok()) return Fail(Annotate(replies.status(), what + ": "));
  const Message& reply = replies->front();
  if (Success(reply)) {
    if (!job_->done.empty() && job_->done.back() == what + " was sent") job_->done.pop_back();
    job_->done.push_back(what + " was taken");
    return Next();
  }
  if (job_->refused) job_->refused();
  const int result = static_cast<int>(reply.values[IsType<SelectedReply>(reply.pf) ? 1 : 0]);
  Fail(Error(StatusCode::kAborted, "REFUSED_BY_DEVICE",
             what + " was refused by the device: " + FrameName(reply.pf) + ", result " +
                 std::to_string(result),
             {{"result", std::to_string(result)}}));
}

void CommandEngine::ThenStartStop(bool start, bool clear, std::function<bool()> self_start,
                                  std::string what) {
  ThenSet(
      [this, start, clear, self_start = std::move(self_start)] {
        return EncodeAs(parts_.settings.address,
                        StartStop{.start = start ? 1 : 0,
                                  .clear_fault = clear ? 1 : 0,
                                  .self_start = self_start() ? 1 : 0},
                        parts_.settings.codec);
      },
      Pf::kStartStopReply, -1, std::move(what), /*last=*/true);
  Then([this] {
    Remember(item::kSelfStart, Value::Flag(SelfStart()));
    Next();
  });
}

void CommandEngine::ThenWatch(std::function<bool()> watching, Duration limit,
                              std::function<absl::Status()> too_late) {
  Then([this, watching = std::move(watching), limit, too_late = std::move(too_late)] {
    job_->watching = watching;
    job_->timer = timers_.At(parts_.clock.Now() + limit, [this, too_late] {
      job_->watching = nullptr;
      Release();
      Fail(too_late());
    });
    OnStatus();
    // The state comes by itself: what is asked for is asked for meanwhile.
    parts_.poller.Turn();
  });
}

// Sends a stop, and waits until a status frame that came after it says so. A safe action insists.
void CommandEngine::ThenStop() {
  Then([this] {
    job_->stops = 0;
    SendStop();
  });
}

void CommandEngine::SendStop() {
  ++job_->stops;
  const MonoTime since = parts_.clock.Now();
  job_->watching = [this] {
    const StateClass now = parts_.image.state_class();
    const std::optional<MonoTime> told = parts_.image.LastTime(Pf::kStatus);
    if (!job_->stop_on_wire || !told || *told <= *job_->stop_on_wire) return false;
    if (now != StateClass::kStopped && now != StateClass::kFault) return false;
    job_->done.push_back("it is stopped");
    Remember(item::kSelfStart, Value::Flag(SelfStart()));
    return true;
  };
  Release();
  // What it answers does not matter: the state does.
  Ask({.frame = EncodeAs(parts_.settings.address, StartStop{.self_start = SelfStart() ? 1 : 0},
                         parts_.settings.codec)
                    .value(),
       .replies = {Pf::kStartStopReply},
       .timeout = parts_.settings.reply_timeout,
       .done = [](const absl::StatusOr<Exchange::Replies>&) {},
       .on_wire =
           [this](MonoTime time) {
             if (!job_->stop_on_wire) job_->stop_on_wire = time;
             OnWire("stop", /*last=*/job_->safe, time);
           }});
  const bool again = job_->safe && job_->stops < kStopTries;
  const Duration wait = again        ? kStopPeriod
                        : job_->safe ? kStopTime - kStopPeriod * (kStopTries - 1)
                                     : kStopTime;
  job_->timer = timers_.At(since + wait, [this, again] {
    if (again) return SendStop();
    job_->watching = nullptr;
    Release();
    const absl::Status why =
        Error(StatusCode::kDeadlineExceeded, "NOT_STOPPED",
              "stop was sent " + std::to_string(job_->stops) +
                  " time(s), and the converter is not known to have stopped: use the emergency "
                  "stop, or open the contactor");
    parts_.alarms.OnNotStopped(std::string(WithState(why).message()));
    Fail(why);
  });
}

void CommandEngine::Reach(Stage stage, MonoTime time) {
  if (job_ == nullptr || job_->ended || job_->reached >= stage) return;
  job_->reached = stage;
  parts_.reporter.Reached(job_->command.id, stage, time);
}

void CommandEngine::Succeed() {
  Reach(Stage::kSent, parts_.clock.Now());  // an act that needed no frame
  Reach(Stage::kConfirmed, parts_.clock.Now());
  Reach(Stage::kSettled, parts_.clock.Now());
  if (!job_->ended) {
    parts_.reporter.Finish(job_->command.id, absl::OkStatus(), job_->read_back, job_->results);
  }
  EndJob();
}

void CommandEngine::Fail(const absl::Status& status) {
  const absl::Status told = WithState(status);
  if (job_->ended) {
    parts_.log.Log(LogLevel::kWarning, job_->name + " failed after its caller had gone: " +
                                           std::string(told.message()));
  } else {
    parts_.reporter.Finish(job_->command.id, told, {}, job_->results);
  }
  EndJob();
}

void CommandEngine::EndJob() {
  job_->guard->Revoke();  // a stop that was sent once more and is not needed any more
  timers_.Cancel(job_->timer);
  if (job_->keeps_self_start) PutBackSelfStart();
  job_.reset();
  RunQueue();
  if (job_ == nullptr) parts_.poller.Turn();
}

absl::Status CommandEngine::WithState(const absl::Status& status) const {
  ErrorInfo info = GetErrorInfo(status);
  std::string text(status.message());
  if (!job_->done.empty()) {
    std::string done;
    for (const std::string& what : job_->done) done += (done.empty() ? "" : ", ") + what;
    text += "; done: " + done;
    info.fields["done"] = done;
  }
  text += "; " + parts_.image.StateText();
  if (const std::optional<int> state = parts_.image.state()) {
    info.fields["state"] = StateName(*state);
    info.fields["fault"] = std::to_string(*parts_.image.fault());
  }
  return MakeError(status.code(), info.reason, text, std::move(info.fields));
}

absl::Status CommandEngine::Error(StatusCode code, std::string_view reason, const std::string& text,
                                  ErrorFields fields) const {
  fields["device_id"] = parts_.config.id;
  return MakeError(code, reason, parts_.config.id + ": " + text, std::move(fields));
}

void CommandEngine::OnSelfStartOut(bool on) {
  self_start_ = on;
  const std::string key = MemoryKey(item::kSelfStart);
  if ((parts_.memory.Get(key) == "true") == on) return;
  // Of a command that had ended: it was in the controller already.
  parts_.memory.Put(key, Value::Flag(on).ToString());
  parts_.image.SetSent(IdOf(item::kSelfStart), Value::Flag(on));
}

// What was to be sent and was not on the wire is not what was sent last.
void CommandEngine::PutBackSelfStart() {
  const std::string key = MemoryKey(item::kSelfStart);
  const std::string sent = self_start_ ? Value::Flag(*self_start_).ToString() : kNotKnown;
  if (parts_.memory.Get(key) != sent) parts_.memory.Put(key, sent);
}

void CommandEngine::Remember(const char* name, const Value& value) {
  parts_.image.SetSent(IdOf(name), value);
  const std::string key = MemoryKey(name);
  if (name == std::string_view(item::kSelfStart) &&
      parts_.memory.Get(key).value_or(kNotKnown) == kNotKnown) {
    parts_.log.Log(LogLevel::kWarning,
                   "self-start was not known here and was sent as off with a start or stop; if it "
                   "was on, switch it on again");
  }
  if (parts_.memory.Get(key) != value.ToString()) parts_.memory.Put(key, value.ToString());
}

}  // namespace canhub::ystech_pcs
