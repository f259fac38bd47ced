#include "drivers/iseg/session.h"

#include <algorithm>
#include <utility>

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A silent device is asked again after this: two short frames, 0.2 % of a 125 kbit/s line.
constexpr Duration kSearchPause = seconds(1);
// Searches in a row in which only DCP was answered, until a module counts as one that knows no
// EDCP.
constexpr int kDcpRounds = 3;
// A device that cannot be used is looked at again, in case it was replaced; also its keep-alive.
constexpr Duration kUnsupportedPause = seconds(30);
// Three lost answers are tolerated (section 7); then one more proof is asked for.
constexpr int kToleratedSilence = 3;
constexpr int kProbeTries = 3;
// A firmware that leaves some questions unanswered is no lost device, one that leaves so many is.
constexpr int kMostUnansweredProbes = 3;
constexpr Duration kTextTimeout = milliseconds(500);
// isegcan's assumption, for a module that tells its number of channels in no way (section 19).
constexpr int kAssumedChannels = 8;
constexpr uint32_t kNewBoard = kLastOldSerialNumber + 1;

}  // namespace

Session::Session(const Settings& settings, const Clock& clock, Timers& timers,
                 TransactionQueue& queue, DeviceLog& log, Events events)
    : settings_(settings),
      clock_(clock),
      queue_(queue),
      log_(log),
      events_(std::move(events)),
      timers_(timers) {}

void Session::SetState(LinkState state, const std::string& text) {
  ++generation_;
  checking_ = false;
  timers_.Cancel(search_timer_);
  search_timer_ = 0;
  state_ = state;
  state_text_ = text;
  events_.link(state, text);
}

std::string Session::Where() const {
  std::string where = settings_.address.crate ? "crate controller " : "address ";
  where += std::to_string(settings_.address.number);
  if (settings_.address.line != 0) where += " on line " + std::to_string(settings_.address.line);
  return where;
}

std::string Session::AnnouncedText() const {
  if (device_class_ < 0) return "";
  const DeviceClass* known = FindDeviceClass(device_class_);
  return "; it announced itself as class " + std::to_string(device_class_) +
         (known != nullptr ? std::string(" (") + known->text + ")" : std::string());
}

void Session::Start() {
  if (bus_up_) {
    SetState(LinkState::kSearching, "looking for a device at " + Where());
    Search();
  }
}

void Session::OnBusDown(BusState state) {
  bus_up_ = false;
  SetState(LinkState::kBusDown, "the bus is " + std::string(ToString(state)));
}

void Session::OnBusUp() {
  if (bus_up_) return;
  bus_up_ = true;
  Start();
}

void Session::Restart(Duration pause) {
  if (!bus_up_) return;
  SetState(LinkState::kSearching, "the line is being scanned again");
  SearchAgain(pause);
}

void Session::SearchAgain(Duration pause) {
  timers_.Cancel(search_timer_);
  search_timer_ = timers_.At(clock_.Now() + pause, [this] {
    search_timer_ = 0;
    Search();
  });
}

void Session::LogOn() {
  queue_.Write({.frame = LogOnFrame(settings_.address), .priority = Priority::kSession});
}

void Session::Search() {
  dcp_identity_.reset();
  values_.clear();
  LogOn();
  const int generation = generation_;
  queue_.Read({.frame = ReadModuleFrame(settings_.address, id::kSerialNumber),
               .data_id = id::kSerialNumber,
               .timeout = settings_.single_timeout,
               .tries = 2,
               .priority = Priority::kSession,
               .done = [this, generation](const ReadResult& result) {
                 if (generation != generation_) return;
                 if (result.status.ok()) return Identify();
                 if (!absl::IsDeadlineExceeded(result.status)) return SearchAgain(kSearchPause);
                 AskDcpIdentity();
               }});
}

void Session::AskDcpIdentity() {
  const int generation = generation_;
  queue_.Read({.frame = DcpReadFrame(settings_.address, kDcpIdentity),
               .dcp = true,
               .data_id = kDcpIdentity,
               .timeout = settings_.single_timeout,
               .tries = 1,
               .priority = Priority::kSession,
               .done = [this, generation](const ReadResult& result) {
                 if (generation != generation_) return;
                 if (!result.status.ok() || !dcp_identity_) return SearchAgain(kSearchPause);
                 // An EDCP module answers this too, and its EDCP answers may just have been lost.
                 if (++dcp_rounds_ < kDcpRounds) return SearchAgain(kSearchPause);
                 SetState(LinkState::kUnsupported,
                          "the module at " + Where() +
                              " speaks only DCP, the protocol before EDCP (serial number " +
                              std::to_string(dcp_identity_->serial_number) + ", " +
                              std::to_string(dcp_identity_->channels) + " channels" +
                              AnnouncedText() + "); canhub drives EDCP modules only");
                 if (!std::exchange(logged_unsupported_, true)) {
                   log_.Log(LogLevel::kWarning, state_text_);
                 }
                 SearchAgain(kUnsupportedPause);
               }});
}

void Session::OnAnnouncement(const Answer& announcement) {
  device_class_ = announcement.device_class;
  const DeviceClass* known = FindDeviceClass(device_class_);
  if (!bus_up_) return;
  if (known != nullptr && known->kind == DeviceKind::kOldCrate) {
    if (state_ != LinkState::kUnsupported) {
      if (online()) events_.offline(true, "another device announced itself");
      SetState(LinkState::kUnsupported,
               Where() + " is an ECH238, a crate with a protocol of its own" + AnnouncedText());
      SearchAgain(kUnsupportedPause);
    }
    return;
  }
  const bool was_online = online();
  if (state_ == LinkState::kUnsupported) {
    // It announces itself until it is logged on; only a real change needs a new look.
    LogOn();
    return;
  }
  if (was_online) {
    const std::string why = "the device announced itself: it has restarted" + AnnouncedText();
    log_.Log(LogLevel::kWarning, why + "; it is read again, nothing is set");
    events_.offline(true, why);
  }
  // Log on and ask everything again, from the beginning.
  SetState(LinkState::kIdentifying,
           was_online ? "the device has restarted" : "it announced itself");
  dcp_identity_.reset();
  values_.clear();
  LogOn();
  Identify();
}

void Session::OnBootLoader(const Answer& answer) {
  if (online()) events_.offline(true, "the device is in its boot loader");
  if (state_ == LinkState::kUnsupported || !bus_up_) return;
  SetState(LinkState::kUnsupported, "the device at " + Where() +
                                        " is in its boot loader and waits for firmware (class " +
                                        std::to_string(answer.device_class) + ")");
  SearchAgain(kUnsupportedPause);
}

void Session::Identify() {
  SetState(LinkState::kIdentifying, "identifying the device at " + Where());
  logged_unsupported_ = false;
  dcp_rounds_ = 0;
  article_.Clear();
  next_probe_ = 0;
  probes_unanswered_ = 0;
  if (settings_.anti_collision) {
    const absl::StatusOr<WireBytes> on = EncodeValue(WireType::kUi2, Value::Integer(1));
    queue_.Write({.frame = WriteModuleFrame(settings_.address, id::kAntiCollision, *on),
                  .priority = Priority::kSession});
  }
  probes_ = {{id::kSerialNumber}, {id::kFirmwareRelease}, {id::kFirmwareName}};
  if (!settings_.address.crate) {
    probes_.push_back({id::kChannelNumber});
    probes_.push_back({id::kBitRate});
    probes_.push_back({id::kWideModuleStatus});
    if (settings_.channel_ramp == ChannelRampUse::kAuto) {
      probes_.push_back({id::kVoltageRampUp, 0});
      probes_.push_back({id::kVoltageRampDown, 0});
    }
  }
  NextProbe();
}

void Session::NextProbe() {
  if (next_probe_ == probes_.size()) {
    // What decides about more questions is known only now.
    const bool text_asked = !probes_.empty() && probes_.back().text;
    const auto serial = values_.find(id::kSerialNumber);
    const bool new_board = serial != values_.end() && serial->second.integer() >= kNewBoard;
    if (!text_asked && (new_board || settings_.address.crate)) {
      probes_.push_back({id::kArticle, -1, true});
    } else {
      const bool needs_dcp =
          !settings_.address.crate && settings_.channels == 0 && !dcp_identity_ &&
          (!values_.contains(id::kChannelNumber) || values_[id::kChannelNumber].integer() == 0);
      if (!needs_dcp) return Finish();
      const int generation = generation_;
      queue_.Read({.frame = DcpReadFrame(settings_.address, kDcpIdentity),
                   .dcp = true,
                   .data_id = kDcpIdentity,
                   .timeout = settings_.single_timeout,
                   .tries = kProbeTries,
                   .priority = Priority::kSession,
                   .done = [this, generation](const ReadResult&) {
                     if (generation == generation_) Finish();
                   }});
      return;
    }
  }
  ReadProbe(probes_[next_probe_++]);
}

void Session::ReadProbe(const Probe& probe) {
  const int generation = generation_;
  queue_.Read({.frame = probe.channel < 0
                            ? ReadModuleFrame(settings_.address, probe.data_id)
                            : ReadChannelFrame(settings_.address, probe.data_id, probe.channel),
               .data_id = probe.data_id,
               .answers = probe.text ? ReadRequest::Answers::kPieces : ReadRequest::Answers::kOne,
               .first = probe.channel,
               .timeout = probe.text ? kTextTimeout : settings_.single_timeout,
               .tries = probe.text ? 1 : kProbeTries,
               .priority = Priority::kSession,
               .done = [this, generation, probe](const ReadResult& result) {
                 if (generation == generation_) ProbeDone(probe, result);
               }});
}

void Session::ProbeDone(const Probe&, const ReadResult& result) {
  if (!result.status.ok() && ++probes_unanswered_ > kMostUnansweredProbes) {
    SetState(LinkState::kSearching, "the device at " + Where() + " stopped answering");
    SearchAgain(kSearchPause);
    return;
  }
  NextProbe();
}

bool Session::OnAnswer(const Answer& answer) {
  if (answer.kind == Answer::Kind::kDcp && answer.data_id == kDcpIdentity) {
    const absl::StatusOr<DcpIdentity> identity = DecodeDcpIdentity(answer.bytes.view());
    if (identity.ok()) {
      dcp_identity_ = *identity;
    } else {
      log_.CountBadFrame(BadFrameReason(identity.status()),
                         std::string(identity.status().message()));
    }
    return false;
  }
  if (answer.kind != Answer::Kind::kValue) return false;
  if (answer.data_id == id::kArticle) {
    return article_.Add(answer.index, answer.bytes.view()) && article_.complete();
  }
  const absl::StatusOr<WireValue> value = DecodeAnswer(answer);
  if (value.ok() && value->value.has_value()) values_[answer.data_id] = value->value;
  return false;
}

void Session::Finish() {
  Identified found;
  ModuleIdentity& identity = found.identity;
  identity.device_class = device_class_;
  const auto integer = [this](uint16_t data_id) -> std::optional<int64_t> {
    const auto it = values_.find(data_id);
    if (it == values_.end() || it->second.type() != ValueType::kInteger) return std::nullopt;
    return it->second.integer();
  };
  const auto text = [this](uint16_t data_id) -> std::string {
    const auto it = values_.find(data_id);
    return it == values_.end() ? std::string() : it->second.ToString();
  };
  identity.serial_number = static_cast<uint32_t>(integer(id::kSerialNumber).value_or(0));
  identity.firmware_name = text(id::kFirmwareName);
  identity.article = article_.text();
  identity.wide = values_.contains(id::kWideModuleStatus);
  found.firmware_release = text(id::kFirmwareRelease);
  if (const auto rate = integer(id::kBitRate)) found.bit_rate = static_cast<int>(*rate);

  for (const Quirk* quirk : QuirksOf(identity)) found.quirks.emplace_back(quirk->name);
  if (!settings_.address.crate) {
    found.features = ExpectedFeatures(identity);
    const bool answered =
        values_.contains(id::kVoltageRampUp) && values_.contains(id::kVoltageRampDown);
    // A model of the list may answer the registers and still not ramp by them.
    const bool listed = std::find(found.quirks.begin(), found.quirks.end(), kQuirkNoChannelRamp) !=
                        found.quirks.end();
    const bool own_ramp = settings_.channel_ramp == ChannelRampUse::kYes ||
                          (settings_.channel_ramp == ChannelRampUse::kAuto && answered && !listed);
    found.features &= ~(feature::kChannelVoltageRamp | feature::kModuleVoltageRampOnly);
    found.features |= own_ramp ? feature::kChannelVoltageRamp : feature::kModuleVoltageRampOnly;
    if (!own_ramp && !listed) found.quirks.emplace_back(kQuirkNoChannelRamp);

    found.channels = settings_.channels;
    if (found.channels == 0) {
      found.channels = static_cast<int>(integer(id::kChannelNumber).value_or(0));
    }
    if (found.channels == 0 && dcp_identity_) found.channels = dcp_identity_->channels;
    if (found.channels == 0) {
      const std::optional<FirmwareName> name = ParseFirmwareName(identity.firmware_name);
      if (name) found.channels = name->channels;
    }
    if (found.channels == 0) {
      found.channels = kAssumedChannels;
      found.quirks.emplace_back("assumed_8_channels");
    }
    found.channels = std::min(found.channels, kMaxChannels);
  }
  SetState(LinkState::kOnline, "");
  was_lost_ = false;
  events_.online(found);
}

void Session::OnUnanswered(int consecutive) {
  if (!online() || consecutive <= kToleratedSilence || checking_) return;
  // The last word has a question that this device has answered before.
  checking_ = true;
  const int generation = generation_;
  queue_.Read({.frame = ReadModuleFrame(settings_.address, id::kSerialNumber),
               .data_id = id::kSerialNumber,
               .timeout = settings_.single_timeout,
               .tries = 2,
               .priority = Priority::kSession,
               .done = [this, generation](const ReadResult& result) {
                 if (generation != generation_) return;
                 checking_ = false;
                 if (result.status.ok() || !absl::IsDeadlineExceeded(result.status)) return;
                 const std::string why = "the device at " + Where() + " does not answer any more";
                 log_.Log(LogLevel::kWarning, why);
                 SetState(LinkState::kLost, why);
                 events_.offline(false, why);
                 SearchAgain(Duration::zero());
               }});
}

}  // namespace canhub::iseg
