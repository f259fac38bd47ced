// The wire: what the daemon sends must be explained.
#include <algorithm>

#include "tests/simulation/checker.h"

namespace canhub::simulation {
namespace {

using Kind = FrameMeaning::Kind;
using std::chrono::milliseconds;

// S04: what waited at the bus when the actor stopped, behind everything else that may wait there.
constexpr Duration kDrain = milliseconds(200);
// S07: an answer this long after the question is one.
constexpr Duration kAsked = milliseconds(40);

}  // namespace

void Checker::OnFrameStarts(const std::string& bus, const CanFrame& frame, bool from_daemon) {
  ++frames_;
  if (!from_daemon) return;
  const size_t bus_index = BusOf(bus);
  const FrameMeaning meaning = buses_[bus_index].facts.family->Read(frame, true);
  if (meaning.kind == Kind::kAct) return CheckAct(bus_index, frame, meaning);
  const std::optional<size_t> index = DeviceAt(bus, meaning.address);
  if (meaning.kind == Kind::kForeign || !index) return;
  Device& device = devices_[*index];
  const bool raw = std::any_of(given_.begin(), given_.end(), [&](const Given& given) {
    return given.raw() && Allowance(given, bus_index, frame).first > 0;
  });
  if (raw) return;
  if (device.paused && Now() > device.paused_since + kDrain) {
    Fail("S04", Name(*index) + ": " + FormatFrame(frame) +
                    " although its actor has not turned for " +
                    Milliseconds(Now() - device.paused_since));
  }
  device.last_asked = Now();  // S09; what keeps it on the line shows as well that its actor turns
  if (meaning.kind == Kind::kQuestion) {
    device.asked[meaning.what] = Now();
    // S05: where everything is off already, a safe action sends nothing and asks for the proof.
    std::erase_if(expected_frames_, [&](const ExpectedFrame& e) { return e.device == *index; });
    // A safe action's own question for its proof is as urgent as another safe action.
    const bool proof = std::any_of(given_.begin(), given_.end(), [&](const Given& given) {
      return given.safe && !given.answered && given.life == life_ && given.device == *index;
    });
    if (!proof) CountOvertaking(bus_index, nullptr);
  }
}

// S10: every safe action of this bus that has not begun to speak is being overtaken.
void Checker::CountOvertaking(size_t bus, const Given* own) {
  for (Given& given : given_) {
    if (!given.safe || given.refused || given.answered || given.first_frame != kNever ||
        &given == own || given.life != life_ || devices_[given.device].bus != bus ||
        given.given >= Now()) {
      continue;
    }
    // An actor that hangs, or a bus that is away, lets nobody be quick.
    const Device& device = devices_[given.device];
    if (!Turns(device) || device.turns_since >= given.given) continue;
    ++given.overtaken_by;
  }
}

std::pair<int, int> Checker::Allowance(const Given& given, size_t bus,
                                       const CanFrame& frame) const {
  int allowed = 0;
  if (given.raw()) {
    const CanFrame& raw = std::get<CanFrame>(given.what);
    allowed = given.bus == buses_[bus].facts.id && raw.dlc <= 8 && raw == frame ? 1 : 0;
  } else if (devices_[given.device].bus == bus) {
    const PlannedDevice& plan = devices_[given.device].plan;
    allowed = plan.family->Allows(std::get<Act>(given.what), plan, frame);
  }
  if (allowed == 0) return {0, 0};
  for (const auto& [sent, times] : given.frames) {
    if (sent == frame) return {allowed, times};
  }
  return {allowed, 0};
}

std::pair<const char*, std::string> Checker::WhyNot(const Given& given) const {
  const MonoTime now = Now();
  if (given.life != life_) return {"S01", "given to the daemon before it was restarted"};
  if (!given.safe) {
    for (const Given& later : given_) {
      if (!later.safe || later.refused || later.number <= given.number || later.given >= now ||
          later.life != life_) {
        continue;
      }
      const bool same =
          given.raw() ? devices_[later.device].plan.bus == given.bus : later.device == given.device;
      if (same) return {"S10", "older than safe action " + std::to_string(later.number)};
    }
  }
  const Bus& bus = *std::find_if(buses_.begin(), buses_.end(),
                                 [&](const Bus& b) { return b.facts.id == given.bus; });
  if (bus.away_since != MonoTime{} && given.given <= bus.away_since && now > bus.away_since) {
    return {"S02", "given before the bus was away"};
  }
  if (!given.safe && now >= given.deadline) return {"S02", "its deadline has passed"};
  // A safe action needs no lease, so none that ends stops it, with whatever lease it was given.
  if (!given.safe && !given.lease_id.empty()) {
    const auto lease = leases_.find(given.lease_id);
    if (lease != leases_.end() && (lease->second.over || lease->second.expires < now) &&
        now > std::min(lease->second.over_since, lease->second.expires)) {
      return {"S02", "its lease is over"};
    }
  }
  if (!given.raw() && devices_[given.device].paused &&
      now > devices_[given.device].paused_since + kDrain) {
    return {"S04", "its actor does not turn"};
  }
  if (given.refused) return {"S08", "it was refused"};
  const bool sent_is_all = given.raw() && given.wait_for == Stage::kSent && given.status.ok();
  if (given.answered && now > given.answer_time && !sent_is_all) {
    return {"S08", "it was answered " + Milliseconds(now - given.answer_time) + " before"};
  }
  return {"", ""};
}

std::string Checker::Describe(const Given& given) const {
  std::string text = "#" + std::to_string(given.number) + " ";
  if (given.raw()) {
    CanFrame frame = std::get<CanFrame>(given.what);
    frame.dlc = std::min<uint8_t>(frame.dlc, 8);  // nonsense has any length
    return text + "raw " + FormatFrame(frame);
  }
  text += Name(given.device) + " ";
  const Act& act = std::get<Act>(given.what);
  if (const auto* call = std::get_if<ActionCall>(&act)) {
    text += call->name + "(";
    for (const auto& [name, value] : call->arguments) text += name + "=" + value.ToString() + " ";
    return text + ")";
  }
  for (const NamedWrite& write : std::get<std::vector<NamedWrite>>(act)) {
    text += write.item + "=" + write.value.ToString() + " ";
  }
  return text;
}

void Checker::CheckAct(size_t bus, const CanFrame& frame, const FrameMeaning& meaning) {
  ++acts_;
  const auto device = DeviceAt(buses_[bus].facts.id, meaning.address);
  const Given* suspect = nullptr;
  const char* invariant = "S01";
  std::string why;
  Given* own = nullptr;  // the oldest that may send it: commands go in their order
  int candidates = 0;
  for (Given& given : given_) {
    const auto [allowed, used] = Allowance(given, bus, frame);
    if (allowed == 0) continue;
    auto [broken, text] = WhyNot(given);
    if (*broken == '\0' && used >= allowed) {
      broken = "S01";
      text = "sent " + std::to_string(used) + " times already";
    }
    if (*broken != '\0') {
      // The newest is the one most likely meant.
      suspect = &given;
      invariant = broken;
      why = text;
      continue;
    }
    given.perhaps_frame = true;
    ++candidates;
    if (own == nullptr) {
      own = &given;
    } else if (given.first_frame == kNever) {
      given.first_frame = Now();  // two of a kind: what one sends serves the other
    }
  }
  if (own != nullptr) {
    if (candidates == 1 && own->certain_frame == kNever) own->certain_frame = Now();
    return OnActOf(*own, bus, frame, /*certain=*/candidates == 1);
  }
  const std::string name = device ? Name(*device) : buses_[bus].facts.id;
  if (suspect == nullptr) {
    return Fail("S01", name + ": nobody asked for " + FormatFrame(frame));
  }
  Fail(invariant, name + ": " + FormatFrame(frame) + " for " + Describe(*suspect) + ": " + why);
}

void Checker::OnActOf(Given& given, size_t bus, const CanFrame& frame, bool certain) {
  if (given.first_frame == kNever) {
    given.first_frame = Now();
    if (certain && given.safe && given.overtaken_by > 0) {
      Fail("S10", std::to_string(given.overtaken_by) + " frames of the daemon started between " +
                      Describe(given) + " and its first frame");
    }
  }
  bool counted = false;
  for (auto& [sent, times] : given.frames) {
    if (!(sent == frame)) continue;
    ++times;
    counted = true;
  }
  if (!counted) given.frames.emplace_back(frame, 1);
  if (!given.safe) CountOvertaking(bus, &given);
}

void Checker::OnFrameReceived(const std::string& bus, const CanFrame& frame, MonoTime time) {
  const FrameMeaning meaning = buses_[BusOf(bus)].facts.family->Read(frame, false);
  if (meaning.kind != Kind::kAnswer) return;
  const std::optional<size_t> device = DeviceAt(bus, meaning.address);
  if (!device) return;
  if (meaning.malformed) {
    if (hub_ == nullptr) return;  // nobody there to be misled
    const auto asked = devices_[*device].asked.find(meaning.what);
    malformed_.push_back(
        {.device = *device,
         .meaning = meaning,
         .time = time,
         .bad_before = BadFrames(*device),
         .asked = asked != devices_[*device].asked.end() && asked->second + kAsked > time});
    return;
  }
  std::array<MonoTime, 4>& times = answers_[{*device, meaning.what, meaning.channel}];
  std::rotate(times.begin(), times.begin() + 1, times.end());
  times.back() = time;
}

void Checker::OnBus(const std::string& bus, BusState state) {
  for (Bus& b : buses_) {
    if (b.facts.id != bus) continue;
    const bool away = !CanTransmit(state);
    if (away && !b.away) b.away_since = Now();
    if (!away && b.away) {
      for (Device& device : devices_) {
        if (device.plan.bus == bus) device.turns_since = Now();
      }
    }
    b.away = away;
  }
}

}  // namespace canhub::simulation
