#include <algorithm>
#include <cmath>

#include "drivers/ystech-pcs/simulator_device.h"

namespace canhub::ystech_pcs {
void PcsSimulator::OnFrame(const RxFrame& rx) {
  if (!powered_ || faults_.Active("deaf") || !faults_.Receives(random_)) return;
  const absl::StatusOr<Message> message = Decode(rx.frame, codec_);
  if (!message.ok() || FrameOf(message->pf).direction != Direction::kToPcs) return;
  broadcast_ = message->address == kBroadcastAddress;
  if (message->address != address_ && !broadcast_) return;
  Advance();
  // "Data from other devices": any frame could count (section 10).
  if (message->pf == Pf::kHeartbeat || context_.config.Parameter("sim_any_frame_counts").flag()) {
    last_data_ = Now();
  }
  request_pf_ = static_cast<uint8_t>(message->pf);
  Handle(*message);
  Advance();
  ArmTick();
}

void PcsSimulator::Handle(const Message& message) {
  const auto refused = [this] {
    return faults_.Active("refuse") && faults_.Number("refuse", "pf", request_pf_) == request_pf_;
  };
  switch (message.pf) {
    case Pf::kReadProtectionParams:
      return OnReadProtection(message);
    case Pf::kSetProtectionParams1:
    case Pf::kSetProtectionParams2:
    case Pf::kSetProtectionParams3: {
      const int set = request_pf_ - static_cast<int>(Pf::kSetProtectionParams1) + 1;
      return AnswerResult(Pf::kSetProtectionReply, set,
                          !refused() && OnSetProtection(message, set));
    }
    case Pf::kSetTime:
      return AnswerResult(Pf::kSetTimeReply, !refused() && InRange(message));
    case Pf::kSetWorkingMode:
      return AnswerResult(Pf::kSetModeReply, !refused() && OnMode(message));
    case Pf::kSetModeParams12:
      return AnswerResult(Pf::kSetModeReply, !refused() && OnParameters(message, 0));
    case Pf::kSetModeParams34:
      return AnswerResult(Pf::kSetModeReply, !refused() && OnParameters(message, 2));
    case Pf::kSetPhaseActivePower:
      return AnswerResult(Pf::kSetModeReply,
                          !refused() && OnPhasePower(message, &stored_.phase_kw));
    case Pf::kSetPhaseReactivePower:
      return AnswerResult(Pf::kSetModeReply,
                          !refused() && OnPhasePower(message, &stored_.phase_kvar));
    case Pf::kStartStop:
      return AnswerResult(Pf::kStartStopReply, !refused() && OnStartStop(As<StartStop>(message)));
    case Pf::kHeartbeat:
      // Which code it shows is not stated; 0x800D is the likely one (section 6.8).
      if (As<Heartbeat>(message).state == Heartbeat::kFault && Active()) Trip(kCan1Failure);
      return;
    case Pf::kReadSpecialData:
      return OnReadSpecial(message);
    default:
      break;
  }
  for (const SpecialSpec& special : Specials()) {
    if (special.set != message.pf) continue;
    return AnswerResult(Pf::kSpecialSetReply, special.type,
                        !refused() && OnSpecial(message, special));
  }
}

bool PcsSimulator::InRange(const Message& message) const {
  const std::span<const FieldSpec> fields = FrameOf(message.pf).fields;
  for (size_t i = 0; i < fields.size(); ++i) {
    const auto [minimum, maximum] = FieldLimits(fields[i], codec_);
    if (message.values[i] < minimum || message.values[i] > maximum) return false;
  }
  return true;
}

void PcsSimulator::OnReadProtection(const Message& message) {
  constexpr std::array kReplies = {Pf::kProtectionParams1Reply, Pf::kProtectionParams2Reply,
                                   Pf::kProtectionParams3Reply};
  const int set = As<ReadProtectionParams>(message).set;
  if (set < 1 || set > static_cast<int>(kReplies.size())) return;  // invalid (section 6.1)
  Answer(kReplies[set - 1], stored_.protection[set - 1]);
}

bool PcsSimulator::OnSetProtection(const Message& message, int set) {
  if (!InRange(message)) return false;
  const auto& v = message.values;
  // Upper and lower bounds stand beside each other, but for set 1's currents and set 2's powers.
  if (set == 1 && v[0] < v[1]) return false;
  if (set == 2 && v[2] < v[3]) return false;
  if (set == 3 && (v[0] < v[1] || v[2] < v[3])) return false;
  stored_.protection[set - 1] = v;
  return true;
}

bool PcsSimulator::OnMode(const Message& message) {
  const ModeSpec* mode = FindMode(As<WorkingMode>(message).mode);
  if (mode == nullptr || Active()) return false;
  stored_.mode = mode->mode;
  return true;
}

bool PcsSimulator::ParameterAllowed(Quantity quantity, double value) const {
  const PowerStage::Limits limits = PowerLimits();
  const auto between = [value](double low, double high) { return value >= low && value <= high; };
  switch (quantity) {
    case Quantity::kVoltage:
      return between(Protection(1, 1), Protection(1, 0));
    case Quantity::kCurrent:
      return between(-limits.charge_a, limits.discharge_a);
    case Quantity::kChargeCurrent:
      return between(0, limits.charge_a);
    case Quantity::kDischargeCurrent:
      return between(0, limits.discharge_a);
    case Quantity::kEndCurrent:
      return between(0, std::max(limits.charge_a, limits.discharge_a));
    case Quantity::kPower:
      return between(-limits.charge_w, limits.discharge_w);
    case Quantity::kReactivePower: {
      const double most = std::max(limits.charge_w, limits.discharge_w);
      return between(-most, most);
    }
    case Quantity::kResistance:
      return value != 0;
    case Quantity::kMagnification: {
      const double current = value * Setting("sim_battery_capacity");
      return current >= -limits.charge_a && current <= limits.discharge_a;
    }
    case Quantity::kTime:
      return value >= 0;
    case Quantity::kDuty:
      return between(0, 100);
    case Quantity::kAcVoltage:
      return between(Protection(2, 3), Protection(2, 2));
    case Quantity::kFrequency:
      return between(Protection(3, 3), Protection(3, 2));
  }
  return false;
}

bool PcsSimulator::ParametersAllowed(Mode mode, const ModeCounts& counts, size_t first,
                                     size_t count) const {
  const ModeSpec& spec = *FindMode(static_cast<int>(mode));
  for (size_t i = first; i < std::min(first + count, spec.parameters.size()); ++i) {
    if (!ParameterAllowed(spec.parameters[i].quantity, FromCounts(spec, i, counts[i]))) {
      return false;
    }
  }
  return true;
}

bool PcsSimulator::OnParameters(const Message& message, size_t first) {
  const ModeParams params = As<ModeParams>(message);
  ModeCounts counts = stored_.parameters;
  counts[first] = params.first;
  counts[first + 1] = params.second;
  if (!ParametersAllowed(stored_.mode, counts, first, 2)) return false;
  stored_.parameters = counts;
  run_since_ = Now();  // ramps and pulses begin anew
  return true;
}

bool PcsSimulator::OnPhasePower(const Message& message, std::array<double, kPhases>* stored) {
  if (stored_.specials[kSpecialSplitPhase][0] != 1 || !InRange(message)) return false;
  const ThreePhases powers = As<ThreePhases>(message);
  const double sum_w = (powers.u + powers.v + powers.w) * 1e3;
  const bool active = message.pf == Pf::kSetPhaseActivePower;
  if (!ParameterAllowed(active ? Quantity::kPower : Quantity::kReactivePower, sum_w)) return false;
  *stored = {powers.u, powers.v, powers.w};
  return true;
}

bool PcsSimulator::OnStartStop(const StartStop& command) {
  if (command.start > 1 || command.clear_fault > 1 || command.self_start > 1) return false;
  stored_.self_start = command.self_start == 1;
  if (command.clear_fault == 1 && state_ == State::kFault) {
    fault_code_ = kNoFault;
    Enter(State::kStandby);
    // Is back at once where its cause still stands.
    if (const uint16_t cause = StandingCause(); cause != kNoFault) Trip(cause);
  }
  if (command.start == 0) {
    if (Active() && !faults_.Active("no_stop")) EndRun(State::kStandby);
    return true;
  }
  if (Active()) return true;
  if (state_ == State::kFault) return false;
  if (state_ == State::kPowerFailure && stored_.mode != Mode::kIndependentInverter) return false;
  if (!ParametersAllowed(stored_.mode, stored_.parameters, 0, kMaxModeParameters)) return false;
  BeginStart();
  return true;
}

bool PcsSimulator::OnSpecial(const Message& message, const SpecialSpec& special) {
  if (Active() || !InRange(message)) return false;
  stored_.specials[special.type] = message.values;
  return true;
}

void PcsSimulator::OnReadSpecial(const Message& message) {
  const SpecialSpec* special = FindSpecial(static_cast<uint8_t>(As<ReadSpecialData>(message).type));
  if (special == nullptr) return;
  if (special->type == kSpecialWorkingMode) {
    const ModeCounts& p = stored_.parameters;
    Answer(Pf::kWorkingModeReply, std::array{double(static_cast<int>(stored_.mode))});
    Answer(Pf::kModeParams12Reply, std::array{double(p[0]), double(p[1])});
    Answer(Pf::kModeParams34Reply, std::array{double(p[2]), double(p[3])});
    return;
  }
  for (const Pf reply : special->replies) Answer(reply, stored_.specials[special->type]);
}

void PcsSimulator::Answer(Pf pf, std::span<const double> values) {
  const bool silent =
      (broadcast_ && !context_.config.Parameter("sim_answer_broadcast").flag()) ||
      (faults_.Active("no_reply") && faults_.Number("no_reply", "pf", request_pf_) == request_pf_);
  if (silent || waiting_answers_ >= kMostWaitingAnswers) return;
  ++waiting_answers_;
  last_answer_ = std::max(last_answer_, Now() + Time("sim_answer_delay") + faults_.delay());
  Values kept{};
  std::copy(values.begin(), values.end(), kept.begin());
  timers_.At(last_answer_, [this, pf, kept] {
    --waiting_answers_;
    Send(pf, kept);
  });
}

void PcsSimulator::AnswerResult(Pf pf, bool success) {
  Answer(pf, std::array{success ? double{kSuccess} : 0});
}

void PcsSimulator::AnswerResult(Pf pf, int selector, bool success) {
  Answer(pf, std::array{double(selector), success ? double{kSuccess} : 0});
}

}  // namespace canhub::ystech_pcs
