#include "drivers/studer/gateway_driver.h"

#include <cmath>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub::studer {
namespace {

// Any unit will do: a gateway answers for those that are not there (0x02).
constexpr uint16_t kAnyUnit = 101;
constexpr int kScanTries = 2;

std::vector<UnitId> AllUnits() {
  std::vector<UnitId> units;
  for (const Family family :
       {Family::kXtender, Family::kVarioTrack, Family::kVarioString, Family::kBms, Family::kBsp}) {
    const FamilyInfo& info = Describe(family);
    for (int number = 1; number <= info.last - info.first + 1; ++number) {
      units.push_back({family, number});
    }
  }
  return units;
}

}  // namespace

GatewayDriver::GatewayDriver(const DriverContext& context)
    : context_(context),
      settings_(ParseSettings(context.config)),
      items_(UnitItems::Of(std::nullopt)),
      timers_(context.timers),
      queue_({.device_id = context.config.id,
              .client = settings_.client,
              .timeout = settings_.timeout},
             context.clock, context.timers, context.bus, context.turn, context.log),
      messages_(context, settings_, items_) {}

void GatewayDriver::Start() {
  context_.state.SetItems(items_.table());
  context_.state.SetIdentity(kIdentityUnit, settings_.unit.ToString());
  context_.state.SetLink(bus_up_ ? LinkState::kSearching : LinkState::kBusDown,
                         bus_up_ ? "listens for the gateway" : "the bus does not carry frames");
  timers_.Every(settings_.poll, [this] { CheckLink(); });
  CheckLink();
}

void GatewayDriver::OnFrame(const RxFrame& rx) {
  const absl::StatusOr<Answer> answer = DecodeAnswer(rx.frame);
  if (!answer.ok()) {
    return context_.log.CountBadFrame(BadFrameReason(answer.status()),
                                      std::string(answer.status().message()));
  }
  Heard();
  if (answer->kind == Answer::Kind::kMessage) {
    return messages_.OnMessage(answer->object, answer->message_value, rx.time);
  }
  // Answers to the units' questions are theirs to judge; errors in the gateway's own name are
  // about frames that it could not read (section 9, U4).
  if (!queue_.OnAnswer(*answer, rx.time) && answer->kind == Answer::Kind::kError &&
      answer->source == settings_.unit.address()) {
    context_.log.CountBadFrame("gateway_error",
                               FormatFrame(rx.frame) + ": " + ErrorText(answer->error_code));
  }
}

void GatewayDriver::Heard() {
  heard_ = true;
  misses_ = 0;
  context_.state.SetLink(LinkState::kOnline, "answers");
  context_.state.SetPolled(true);
}

void GatewayDriver::CheckLink() {
  if (!bus_up_ || std::exchange(heard_, false) || scan_) return;
  if (misses_ >= kMostMisses) {
    context_.state.SetLink(LinkState::kLost, "does not answer any more");
    context_.state.SetPolled(false);
  }
  if (queue_.size() > 0) return;
  queue_.Add({.unit = kAnyUnit,
              .object = ProbeInfo(Family::kXtender),
              .rank = Rank::kPoll,
              .done = [this](const Outcome& outcome) {
                if (!outcome.answered()) ++misses_;
              }});
}

void GatewayDriver::OnBusState(BusState state) {
  if (std::exchange(bus_up_, CanTransmit(state)) == CanTransmit(state)) return;
  if (bus_up_) return context_.state.SetLink(LinkState::kSearching, "listens for the gateway");
  EndScan(MakeError(absl::StatusCode::kUnavailable, "BUS_DOWN",
                    context_.config.id + ": the bus is " + std::string(ToString(state)),
                    {{"device_id", context_.config.id}}));
  queue_.Clear();
  context_.state.SetPolled(false);
  context_.state.SetLink(LinkState::kBusDown, "the bus is " + std::string(ToString(state)));
}

void GatewayDriver::Execute(Command command) {
  const auto* call = std::get_if<ActionCall>(&command.what);
  const auto refuse = [&](absl::StatusCode code, std::string_view reason, const std::string& text) {
    context_.commands.Finish(command.id, MakeError(code, reason, context_.config.id + ": " + text,
                                                   {{"device_id", context_.config.id}}));
  };
  if (call == nullptr || call->name != action::kScan) {
    return refuse(absl::StatusCode::kUnimplemented, "ACTION_NOT_OF_UNIT",
                  "the gateway has no parameters and nothing to switch; it can scan");
  }
  if (!bus_up_) {
    return refuse(absl::StatusCode::kUnavailable, "BUS_DOWN", "the bus does not carry frames");
  }
  if (scan_) {
    return refuse(absl::StatusCode::kFailedPrecondition, "SCAN_UNDER_WAY", "it scans already");
  }
  scan_ = Scan{.id = command.id, .wait_for = command.wait_for, .units = AllUnits()};
  ScanNext();
}

void GatewayDriver::ScanNext() {
  if (scan_->next == scan_->units.size()) {
    const MonoTime now = context_.clock.Now();
    for (const Stage stage : {Stage::kSent, Stage::kConfirmed, Stage::kSettled}) {
      if (stage <= std::max(scan_->wait_for, Stage::kConfirmed) && stage != Stage::kOnWire) {
        context_.commands.Reached(scan_->id, stage, now);
      }
    }
    return EndScan(absl::OkStatus());
  }
  const UnitId unit = scan_->units[scan_->next++];
  queue_.Add({.unit = unit.address(),
              .object = ProbeInfo(*unit.family),
              .rank = Rank::kFresh,
              .owner = scan_->id,
              .tries = kScanTries,
              .done = [this, unit](const Outcome& outcome) {
                if (!scan_) return;
                const bool bms = unit.family == Family::kBms;
                if (outcome.status.ok() && !(bms && !std::isfinite(outcome.value))) {
                  scan_->found += (scan_->found.empty() ? "" : ", ") + unit.ToString();
                }
                ScanNext();
              }});
}

void GatewayDriver::EndScan(absl::Status status) {
  if (!scan_) return;
  const Scan scan = *std::exchange(scan_, std::nullopt);
  Arguments results = {{action::kResultUnits, Value::Text(scan.found)}};
  context_.commands.Finish(scan.id, std::move(status), {}, std::move(results));
}

void GatewayDriver::Cancel(CommandId id, absl::Status why) {
  if (!scan_ || scan_->id != id) return;
  queue_.Drop(id);
  EndScan(std::move(why));
}

void GatewayDriver::Refresh(std::vector<ItemId>, std::function<void(absl::Status)> done) {
  done(absl::OkStatus());  // all items are what it heard
}

}  // namespace canhub::studer
