#include "daemon/core/device_actor.h"

#include <algorithm>
#include <exception>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

// Reasons are few words of a driver; a driver that makes them up must not fill the memory.
constexpr size_t kMaxBadFrameReasons = 32;
constexpr char kOtherReason[] = "other";
// After a burst, memory beyond this many frames is given back.
constexpr size_t kKeptTraffic = 64;

std::string Count(size_t n) { return std::to_string(n); }

class NoReadings final : public ReadingSource {
 public:
  std::optional<OtherReading> Read(std::string_view) const override { return std::nullopt; }
};
const NoReadings kNoReadings;

MonoTime* StageTime(CommandOutcome& outcome, Stage stage) {
  switch (stage) {
    case Stage::kAccepted:
      return nullptr;
    case Stage::kSent:
      return &outcome.sent;
    case Stage::kOnWire:
      return &outcome.on_wire;
    case Stage::kConfirmed:
      return &outcome.confirmed;
    case Stage::kSettled:
      return &outcome.settled;
  }
  return nullptr;
}

}  // namespace

DeviceActor::DeviceActor(Options options, CanBus* bus)
    : id_(options.config.id),
      clock_(options.clock),
      info_(options.driver),
      config_(std::move(options.config)),
      bus_info_(std::move(options.bus_info)),
      writer_(std::move(options.writer)),
      alarms_(options.alarms),
      log_(std::move(options.log)),
      readings_(options.readings == nullptr ? kNoReadings : *options.readings),
      memory_(id_, options.values, [this] { Wake(); }),
      turn_(std::move(options.turns), [this] { Wake(); }),
      can_bus_(bus),
      timers_(&clock_) {}

DeviceActor::~DeviceActor() {
  closed_.store(true);
  driver_.reset();  // before its port: it may take leave of the device
  port_.reset();
  const absl::Status why = ShuttingDown();
  for (auto& [id, running] : running_) {
    running.outcome.status = why;
    ended_.emplace_back(std::move(running.done), std::move(running.outcome));
  }
  for (auto& [id, refresh] : refreshes_)
    ended_refreshes_.emplace_back(std::move(refresh.done), why);
  for (size_t i = next_waiting_; i < waiting_.size(); ++i) Refuse(std::move(waiting_[i]), why);
  for (auto& posted : mailbox_.TakeUrgent().safe_commands) Refuse(std::move(posted), why);
  for (auto& posted : mailbox_.TakeCommands()) Refuse(std::move(posted), why);
  for (auto& posted : mailbox_.TakeRefreshes()) {
    ended_refreshes_.emplace_back(std::move(posted.done), why);
  }
  Deliver();
}

// ---------------------------------------------------------------- from other threads

void DeviceActor::OnRx(const RxFrame& frame) {
  frames_received_.fetch_add(1, std::memory_order_relaxed);
  last_frame_ns_.store(frame.time.time_since_epoch().count(), std::memory_order_relaxed);
  mailbox_.PushFrame(frame);
  Wake();
}

void DeviceActor::OnTxReport(const TxReport& report) {
  mailbox_.PushTxReport(report);
  Wake();
}

void DeviceActor::OnBusState(BusState state) {
  newest_bus_state_.store(state);
  mailbox_.PushBusState(state);
  Wake();
}

absl::Status DeviceActor::ShuttingDown() const {
  return MakeError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                   id_ + ": the daemon is stopping", {{"device_id", id_}});
}

absl::Status DeviceActor::PostCommand(Command command, CommandDone done) {
  if (closed_.load()) return ShuttingDown();  // by a callback of a command that ends with it
  const bool safe = command.urgency == Urgency::kSafe;
  const size_t before = unfinished_.fetch_add(1);
  Mailbox::PostedCommand posted{std::move(command), std::move(done), generation_.load()};
  if (!safe && before >= kMaxUnfinished) {
    mailbox_.CountOverflow();
  } else if (mailbox_.PushCommand(posted)) {
    Wake();
    return absl::OkStatus();
  }
  unfinished_.fetch_sub(1);
  const size_t limit = before >= kMaxUnfinished ? kMaxUnfinished : Mailbox::kMaxCommands;
  return MakeError(absl::StatusCode::kResourceExhausted, "MAILBOX_FULL",
                   id_ + ": " + Count(limit) +
                       " commands are waiting already, the most there may be; try again when some "
                       "have ended",
                   {{"device_id", id_}, {"limit", Count(limit)}});
}

void DeviceActor::PostCancel(CommandId id, absl::Status why) {
  mailbox_.PushCancel(id, std::move(why));
  Wake();
}

void DeviceActor::PostRefresh(std::vector<ItemId> items, MonoTime deadline,
                              absl::AnyInvocable<void(absl::Status)> done) {
  if (closed_.load()) return done(ShuttingDown());
  Mailbox::PostedRefresh posted{std::move(items), deadline, std::move(done)};
  if (mailbox_.PushRefresh(posted)) {
    Wake();
    return;
  }
  posted.done(MakeError(absl::StatusCode::kResourceExhausted, "MAILBOX_FULL",
                        id_ + ": " + Count(Mailbox::kMaxRefreshes) +
                            " fresh reads are waiting already, the most there may be",
                        {{"device_id", id_}, {"limit", Count(Mailbox::kMaxRefreshes)}}));
}

void DeviceActor::PostConfig(DeviceConfig config) {
  mailbox_.PushConfig(std::move(config));
  Wake();
}

absl::Status DeviceActor::PostRestart() {
  const size_t unfinished = unfinished_.load();
  if (unfinished != 0) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "COMMAND_UNDER_WAY",
                     id_ + " cannot be restarted: " + Count(unfinished) +
                         " command(s) under way; try again when they have ended",
                     {{"device_id", id_}, {"commands", Count(unfinished)}});
  }
  mailbox_.PushRestart();
  Wake();
  return absl::OkStatus();
}

void DeviceActor::PostRetire(std::function<void()> retired) {
  retired_ = std::move(retired);
  retiring_.store(true);
  Wake();
}

void DeviceActor::Retire() {
  retiring_.store(false);
  closed_.store(true);
  start_at_.reset();
  StopDriver(ShuttingDown());
  std::exchange(retired_, nullptr)();
}

DeviceCounters DeviceActor::Counters() const {
  DeviceCounters counters;
  counters.frames_received = frames_received_.load(std::memory_order_relaxed);
  counters.frames_sent = frames_sent_.load(std::memory_order_relaxed);
  counters.timeouts = timeouts_.load(std::memory_order_relaxed);
  counters.mailbox_overflows = mailbox_.overflows();
  counters.commands = commands_.load(std::memory_order_relaxed);
  counters.commands_refused = commands_refused_.load(std::memory_order_relaxed);
  if (const int64_t ns = last_frame_ns_.load(std::memory_order_relaxed); ns != 0) {
    counters.last_frame_time = MonoTime(Duration(ns));
  }
  const std::lock_guard lock(bad_frames_mutex_);
  counters.bad_frames = bad_frames_;
  counters.last_bad_frame = last_bad_frame_;
  return counters;
}

// ---------------------------------------------------------------- the step

MonoTime DeviceActor::RunUntil(MonoTime now) {
  clock_.AdvanceTo(now);
  if (port_ == nullptr) {
    port_ = can_bus_->Attach(info_->filters(config_), this);
    bus_state_ = newest_bus_state_.load();
  }
  // Before safe commands that may wait already: they need the driver.
  if (start_at_ && *start_at_ <= now) StartDriver();
  HandleUrgent();
  HandleTraffic();
  for (const auto& saved : memory_.TakeCompleted()) CallDriver("a value kept", saved);
  if (turn_.TakeGranted()) CallDriver("OnTurn", [&] { driver_->OnTurn(); });
  CallDriver("a timer", [&] { timers_.RunDue(now); });
  HandleCommands();
  HandleRefreshes();
  CheckCommands();
  if (retiring_.load()) Retire();
  if (failed_ && driver_ != nullptr && now >= started_ + kGoodWhile) {
    failed_ = false;
    restart_delay_ = kFirstRestartDelay;
    alarms_->Clear(id_, kDriverFailedAlarm);
  }
  writer_->Commit();
  generation_.store(writer_->Newest().generation());
  Deliver();
  return NextStep(now);
}

MonoTime DeviceActor::NextStep(MonoTime now) const {
  if (!mailbox_.empty()) return now;
  MonoTime next = timers_.NextDue();
  next = std::min(next, turn_.NextCheck());
  if (start_at_) next = std::min(next, *start_at_);
  if (failed_ && driver_ != nullptr) next = std::min(next, started_ + kGoodWhile);
  for (const auto& [id, running] : running_) {
    if (running.guard != nullptr) next = std::min(next, running.guard->deadline());
  }
  for (const auto& [id, refresh] : refreshes_) next = std::min(next, refresh.deadline);
  return next;
}

template <typename Call>
void DeviceActor::CallDriver(const char* what, Call call) {
  if (driver_ == nullptr) return;
  try {
    call();
  } catch (const std::exception& e) {
    DriverFailed(std::string(what) + ": " + e.what());
  } catch (...) {
    DriverFailed(std::string(what) + ": an exception of unknown type");
  }
}

void DeviceActor::StartDriver() {
  start_at_.reset();
  started_ = clock_.Now();
  try {
    driver_ = info_->create({config_, bus_info_, clock_, timers_, *this, *writer_, *this, *this,
                             *this, readings_, memory_, turn_});
  } catch (const std::exception& e) {
    return DriverFailed(std::string("its creation: ") + e.what());
  }
  CallDriver("OnBusState", [&] { driver_->OnBusState(bus_state_); });
  CallDriver("Start", [&] { driver_->Start(); });
}

// Everything under way ends with `why`; nothing the driver had set up is left.
void DeviceActor::StopDriver(const absl::Status& why) {
  driver_.reset();
  timers_.Clear();
  memory_.ForgetCallbacks();
  turn_.Release();
  for (auto& [id, running] : running_) {
    running.outcome.status = why;
    ended_.emplace_back(std::move(running.done), std::move(running.outcome));
  }
  running_.clear();
  for (auto& [id, refresh] : refreshes_) {
    ended_refreshes_.emplace_back(std::move(refresh.done), why);
  }
  refreshes_.clear();
  writer_->SetPolled(false);
}

void DeviceActor::DriverFailed(const std::string& what) {
  const std::string text = "driver \"" + std::string(info_->name) + "\" failed in " + what;
  const std::string seconds = Count(static_cast<size_t>(
      std::chrono::duration_cast<std::chrono::seconds>(restart_delay_).count()));
  Log(LogLevel::kError, text + "; it starts again in " + seconds + " s");
  StopDriver(MakeError(absl::StatusCode::kInternal, "DRIVER_FAILED",
                       id_ + ": " + text + "; what had been sent of the command is not known",
                       {{"device_id", id_}, {"driver", info_->name}}));
  writer_->InvalidateAll(Quality::kBad);
  writer_->SetLink(LinkState::kLost, text);
  alarms_->Raise(id_, kDriverFailedAlarm, AlarmSeverity::kCritical, text);
  failed_ = true;
  start_at_ = clock_.Now() + restart_delay_;
  restart_delay_ = std::min(restart_delay_ * 2, kMaxRestartDelay);
}

void DeviceActor::HandleUrgent() {
  while (mailbox_.has_urgent()) {
    Mailbox::Urgent urgent = mailbox_.TakeUrgent();
    if (urgent.bus_away) HandleBusState(*urgent.bus_away);
    if (urgent.bus_now && urgent.bus_now != urgent.bus_away) HandleBusState(*urgent.bus_now);
    // Safe commands that are cancelled before they began are looked for where they wait.
    for (const auto& [id, why] : urgent.cancels) {
      const auto it =
          std::find_if(urgent.safe_commands.begin(), urgent.safe_commands.end(),
                       [id = id](const auto& posted) { return posted.command.id == id; });
      if (it == urgent.safe_commands.end()) {
        CancelCommand(id, why);
        continue;
      }
      Refuse(std::move(*it), why);
      urgent.safe_commands.erase(it);
    }
    for (Mailbox::PostedCommand& posted : urgent.safe_commands) ExecuteCommand(std::move(posted));
    if (urgent.config) {
      config_ = *std::move(urgent.config);
      CallDriver("OnLimitsChanged", [&] { driver_->OnLimitsChanged(); });
    }
    if (urgent.restart && unfinished_.load() != 0) {
      // PostRestart saw none; one came before this step. It may be a safe action, which nothing may
      // cut short.
      Log(LogLevel::kWarning, "is not restarted: a command was given meanwhile");
    } else if (urgent.restart) {
      StopDriver(MakeError(absl::StatusCode::kAborted, "DEVICE_RESTARTED",
                           id_ + " was restarted; what had been sent of the command is not known",
                           {{"device_id", id_}}));
      writer_->SetItems(writer_->Newest().items_ptr());  // all NEVER_READ
      writer_->ClearIdentity();
      writer_->SetLink(LinkState::kSearching, "restarted");
      StartDriver();
    }
  }
}

void DeviceActor::HandleBusState(BusState state) {
  const bool changed = std::exchange(bus_state_, state) != state;
  if (!CanTransmit(state)) {
    // Nothing given before may be sent after (S02).
    for (size_t i = next_waiting_; i < waiting_.size(); ++i) waiting_[i].bus_lost = state;
  }
  if (changed) CallDriver("OnBusState", [&] { driver_->OnBusState(state); });
  if (CanTransmit(state)) return;
  // The driver has to end them itself; one that it forgot would be sent or wait for ever.
  while (!running_.empty()) Finish(running_.begin()->first, BusAway(state), {}, {});
}

void DeviceActor::HandleTraffic() {
  mailbox_.TakeTraffic(&traffic_);
  for (const Mailbox::Traffic& traffic : traffic_) {
    if (mailbox_.has_urgent()) HandleUrgent();
    if (const auto* frame = std::get_if<RxFrame>(&traffic)) {
      clock_.AdvanceTo(frame->time);
      CallDriver("OnFrame", [&] { driver_->OnFrame(*frame); });
    } else if (const auto* report = std::get_if<TxReport>(&traffic)) {
      clock_.AdvanceTo(report->time);
      CallDriver("OnTxReport", [&] { driver_->OnTxReport(*report); });
    }
  }
  if (traffic_.capacity() > kKeptTraffic) std::vector<Mailbox::Traffic>().swap(traffic_);
}

void DeviceActor::HandleCommands() {
  waiting_ = mailbox_.TakeCommands();
  for (next_waiting_ = 0; next_waiting_ < waiting_.size();) {
    HandleUrgent();  // may end some that wait
    Mailbox::PostedCommand posted = std::move(waiting_[next_waiting_++]);
    if (posted.done) ExecuteCommand(std::move(posted));
  }
  waiting_.clear();
  next_waiting_ = 0;
}

void DeviceActor::HandleRefreshes() {
  for (Mailbox::PostedRefresh& posted : mailbox_.TakeRefreshes()) {
    const ItemId size = writer_->Newest().items().size();
    absl::Status refused;
    if (driver_ == nullptr) {
      refused = MakeError(absl::StatusCode::kUnavailable, "DRIVER_NOT_RUNNING",
                          id_ + ": its driver is not running", {{"device_id", id_}});
    } else if (!CanTransmit(bus_state_)) {
      refused = BusAway(bus_state_);
    } else if (clock_.Now() >= posted.deadline) {
      refused = DeadlinePassed("before the device was asked");
    } else if (refreshes_.size() >= kMaxRunningRefreshes) {
      refused = MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_REFRESHES",
                          id_ + ": " + Count(kMaxRunningRefreshes) +
                              " fresh reads are under way, the most there may be",
                          {{"device_id", id_}, {"limit", Count(kMaxRunningRefreshes)}});
    } else if (std::any_of(posted.items.begin(), posted.items.end(),
                           [&](ItemId item) { return item >= size; })) {
      refused = MakeError(absl::StatusCode::kAborted, "ITEMS_REPLACED",
                          id_ + " was identified anew meanwhile and has other items; ask again",
                          {{"device_id", id_}});
    }
    if (!refused.ok()) {
      ended_refreshes_.emplace_back(std::move(posted.done), std::move(refused));
      continue;
    }
    const uint64_t id = ++last_refresh_;
    refreshes_[id] = {std::move(posted.done), posted.deadline};
    CallDriver("Refresh", [&] {
      driver_->Refresh(std::move(posted.items),
                       [this, id](absl::Status status) { FinishRefresh(id, std::move(status)); });
    });
  }
}

void DeviceActor::FinishRefresh(uint64_t id, absl::Status status) {
  const auto it = refreshes_.find(id);
  if (it == refreshes_.end()) return;  // too late
  ended_refreshes_.emplace_back(std::move(it->second.done), std::move(status));
  refreshes_.erase(it);
}

// Deadlines and revoked guards, of what the driver works on.
void DeviceActor::CheckCommands() {
  if (running_.empty() && refreshes_.empty()) return;
  clock_.Read();
  const MonoTime now = clock_.Now();
  std::vector<std::pair<CommandId, absl::Status>> over;
  for (const auto& [id, running] : running_) {
    if (running.guard == nullptr || running.guard->MaySend(now)) continue;
    over.emplace_back(id, running.guard->revoked()
                              ? MakeError(absl::StatusCode::kAborted, "COMMAND_REVOKED",
                                          id_ + ": the command was withdrawn", {{"device_id", id_}})
                              : DeadlinePassed("before the command was done"));
  }
  for (const auto& [id, why] : over) CancelCommand(id, why);
  std::vector<uint64_t> late;
  for (const auto& [id, refresh] : refreshes_) {
    if (now >= refresh.deadline) late.push_back(id);
  }
  for (const uint64_t id : late) FinishRefresh(id, DeadlinePassed("before the device answered"));
}

void DeviceActor::ExecuteCommand(Mailbox::PostedCommand posted) {
  const Command& command = posted.command;
  clock_.Read();
  if (posted.bus_lost) return Refuse(std::move(posted), BusAway(*posted.bus_lost));
  if (!CanTransmit(bus_state_)) return Refuse(std::move(posted), BusAway(bus_state_));
  if (driver_ == nullptr) {
    return Refuse(
        std::move(posted),
        MakeError(absl::StatusCode::kUnavailable, "DRIVER_NOT_RUNNING",
                  id_ + ": its driver is not running; nothing was sent", {{"device_id", id_}}));
  }
  if (command.guard != nullptr && command.guard->revoked()) {
    return Refuse(
        std::move(posted),
        MakeError(absl::StatusCode::kAborted, "COMMAND_REVOKED",
                  id_ + ": the command was withdrawn; nothing was sent", {{"device_id", id_}}));
  }
  if (command.guard != nullptr && !command.guard->MaySend(clock_.Now())) {
    return Refuse(std::move(posted), DeadlinePassed("before the command was sent; nothing was"));
  }
  const DeviceSnapshot& newest = writer_->Newest();
  if (std::holds_alternative<std::vector<ItemWrite>>(command.what) &&
      (posted.generation != newest.generation() ||
       (command.items != nullptr && command.items != newest.items_ptr()))) {
    return Refuse(std::move(posted),
                  MakeError(absl::StatusCode::kAborted, "ITEMS_REPLACED",
                            id_ + " was identified anew meanwhile and has other items; nothing was "
                                  "sent, give the command again",
                            {{"device_id", id_}}));
  }
  commands_.fetch_add(1, std::memory_order_relaxed);
  running_[command.id] = {std::move(posted.done), {}, command.wait_for, command.guard};
  CallDriver("Execute", [&] { driver_->Execute(std::move(posted.command)); });
}

void DeviceActor::Refuse(Mailbox::PostedCommand posted, absl::Status why) {
  ended_.emplace_back(std::move(posted.done), CommandOutcome{.status = std::move(why)});
}

void DeviceActor::CancelCommand(CommandId id, const absl::Status& why) {
  for (size_t i = next_waiting_; i < waiting_.size(); ++i) {
    if (waiting_[i].command.id != id || !waiting_[i].done) continue;
    return Refuse(std::exchange(waiting_[i], {}), why);
  }
  if (std::optional<Mailbox::PostedCommand> posted = mailbox_.TakeCommand(id)) {
    return Refuse(*std::move(posted), why);
  }
  if (!running_.contains(id)) return;  // ended already
  CallDriver("Cancel", [&] { driver_->Cancel(id, why); });
  // The driver has to end it. Whatever happened: it is over.
  if (running_.contains(id)) Finish(id, why, {}, {});
}

void DeviceActor::Deliver() {
  // A callback may post the next command, never end one: the lists do not change meanwhile.
  for (auto& [done, outcome] : ended_) {
    unfinished_.fetch_sub(1);
    if (IsRefusal(outcome.status)) commands_refused_.fetch_add(1, std::memory_order_relaxed);
    done(std::move(outcome));
  }
  ended_.clear();
  for (auto& [done, status] : ended_refreshes_) done(std::move(status));
  ended_refreshes_.clear();
}

absl::Status DeviceActor::DeadlinePassed(const char* how_far) const {
  return MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE_PASSED",
                   id_ + ": the deadline passed " + how_far, {{"device_id", id_}});
}

absl::Status DeviceActor::BusAway(BusState state) const {
  return MakeError(
      absl::StatusCode::kUnavailable, "BUS_DOWN",
      id_ + ": bus " + bus_info_.id + " is or was " + std::string(ToString(state)) +
          "; nothing is sent later for this",
      {{"device_id", id_}, {"bus", bus_info_.id}, {"state", std::string(ToString(state))}});
}

// ---------------------------------------------------------------- from the driver

void DeviceActor::Reached(CommandId id, Stage stage, MonoTime time) {
  const auto it = running_.find(id);
  if (it == running_.end()) return;
  MonoTime* at = StageTime(it->second.outcome, stage);
  if (at != nullptr && *at == MonoTime{}) *at = time;
}

void DeviceActor::Finish(CommandId id, absl::Status status, std::vector<ItemId> read_back,
                         Arguments results) {
  const auto it = running_.find(id);
  if (it == running_.end()) return;  // ended already, by its deadline for example
  Running& running = it->second;
  if (status.ok()) {
    const MonoTime* reached = StageTime(running.outcome, running.wait_for);
    if (reached != nullptr && *reached == MonoTime{}) {
      status = MakeError(
          absl::StatusCode::kInternal, "STAGE_NOT_REACHED",
          id_ + ": driver \"" + info_->name + "\" reported success without the stage \"" +
              std::string(ToString(running.wait_for)) + "\"; read the state before you rely on it",
          {{"device_id", id_}, {"stage", std::string(ToString(running.wait_for))}});
      Log(LogLevel::kError, std::string(status.message()));
    }
  }
  const DeviceSnapshot& newest = writer_->Newest();
  running.outcome.status = std::move(status);
  running.outcome.results = std::move(results);
  running.outcome.items = newest.items_ptr();
  for (const ItemId item : read_back) {
    if (item < newest.items().size()) {
      running.outcome.read_back.emplace_back(item, newest.Read(item));
    }
  }
  ended_.emplace_back(std::move(running.done), std::move(running.outcome));
  running_.erase(it);
}

void DeviceActor::Raise(std::string_view code, AlarmSeverity severity, std::string_view text) {
  alarms_->Raise(id_, code, severity, text);
}

void DeviceActor::Clear(std::string_view code) { alarms_->Clear(id_, code); }

void DeviceActor::Log(LogLevel level, std::string_view text) {
  if (log_) log_(level, id_, text);
}

void DeviceActor::CountBadFrame(std::string_view reason, std::string_view text) {
  {
    const std::lock_guard lock(bad_frames_mutex_);
    std::string name(reason);
    if (!bad_frames_.contains(name) && bad_frames_.size() >= kMaxBadFrameReasons) {
      name = kOtherReason;
    }
    ++bad_frames_[name];
    last_bad_frame_ = std::string(text);
  }
  Log(LogLevel::kDebug, "wrong frame, " + std::string(reason) + ": " + std::string(text));
}

void DeviceActor::CountTimeout() { timeouts_.fetch_add(1, std::memory_order_relaxed); }

absl::Status DeviceActor::Send(TxFrame frame) {
  absl::Status status = port_->Send(std::move(frame));
  if (status.ok()) frames_sent_.fetch_add(1, std::memory_order_relaxed);
  return status;
}

}  // namespace canhub
