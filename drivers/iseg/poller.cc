#include "drivers/iseg/poller.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub::iseg {
namespace {

// Three lost answers are tolerated (section 7).
constexpr int kPollTries = 3;
// A register of a living device that was never answered after so many reads is one it lacks: it
// neither answers nor says so.
constexpr int kReadsUntilAbsent = 2;
constexpr int kChannelsPerMask = 16;
// Lengths of values whose width varies, for the plan's arithmetic: the longest.
constexpr int kAnyLength = 4;
constexpr int kTextPieceLength = 5;
constexpr int kTextPieces = 4;
// Of a group whose members were not counted yet.
constexpr int kLargestGroup = 13;
// Refreshes take the line before polls for 1 / kRefreshRests of the share; polls keep the rest, and
// with it their readings stay GOOD. What polls leave is theirs too.
constexpr int kRefreshRests = 2;

PollRate RateOf(Poll poll) {
  switch (poll) {
    case Poll::kFast:
      return PollRate::kFast;
    case Poll::kSlow:
      return PollRate::kSlow;
    case Poll::kOnChange:
      return PollRate::kRare;
    default:
      return PollRate::kStill;
  }
}

ReadForm FormOf(uint16_t data_id, WireType type) {
  if (ClassOf(data_id) == AccessClass::kChannel) return ReadForm::kMultiple;
  const bool group = type == WireType::kIndexedR4 || type == WireType::kTextPiece;
  return group ? ReadForm::kGroup : ReadForm::kModule;
}

}  // namespace

std::vector<PollItem> PollItemsOf(const DeviceItems& items) {
  std::vector<PollItem> found;
  std::map<uint16_t, size_t> place;
  for (ItemId item = 0; item < items.table()->size(); ++item) {
    if (items.table()->Storage(item) != item || items.Channel(item) > 0) continue;
    const Poll poll = items.Entry(item).poll;
    const std::optional<uint16_t> data_id = items.DataId(item);
    if (!data_id || poll == Poll::kNever || poll == Poll::kNone) continue;
    const WireType type = items.Type(item);
    if (const auto it = place.find(*data_id); it != place.end()) {
      // Another member of a group, or the second part of the same answer.
      if (FormOf(*data_id, type) == ReadForm::kGroup) ++found[it->second].answers;
      found[it->second].rate = std::min(found[it->second].rate, RateOf(poll));
      continue;
    }
    place[*data_id] = found.size();
    PollItem row{.data_id = *data_id,
                 .form = FormOf(*data_id, type),
                 .value_bytes = static_cast<int>(WireLength(type)),
                 .rate = RateOf(poll)};
    if (type == WireType::kIndexedR4) row.value_bytes = static_cast<int>(WireLength(WireType::kR4));
    if (type == WireType::kTextPiece) {
      row.value_bytes = kTextPieceLength;
      row.answers = kTextPieces;
    }
    if (row.value_bytes == 0) row.value_bytes = kAnyLength;
    found.push_back(row);
  }
  return found;
}

Poller::Poller(const Settings& settings, const BusInfo& bus, const Clock& clock, Timers& timers,
               TransactionQueue& queue, DeviceImage& image, std::function<void(uint16_t)> pass,
               std::function<void()> polled)
    : settings_(settings),
      bus_(bus),
      clock_(clock),
      queue_(queue),
      image_(image),
      pass_(std::move(pass)),
      polled_(std::move(polled)),
      timers_(timers) {}

void Poller::Start() {
  image_.ClearAbsent();
  answered_.clear();
  unanswered_.clear();
  group_sizes_.clear();
  set_values_counter_.reset();
  reported_polled_ = false;
  running_ = true;
  open_.clear();
  Replan();
  for (const PlannedRead& read : plan().reads) open_.emplace(read.data_id, read.first_channel);
  queue_.Pump();
}

void Poller::Replan() {
  ++generation_;
  PollPlanInput input{.bitrate = bus_.bitrate,
                      .share = bus_.poll_share,
                      .channels = image_.channels(),
                      .extended = settings_.address.line != 0,
                      .short_form = settings_.short_form,
                      .fast_period = settings_.fast_period,
                      .slow_period = settings_.slow_period,
                      .rare_period = settings_.rare_period,
                      .still_period = 10 * settings_.rare_period,
                      .single_timeout = settings_.single_timeout,
                      .multiple_timeout = settings_.multiple_timeout};
  for (const PollItem& item : PollItemsOf(image_.items())) {
    if (!image_.IsAbsent(item.data_id)) input.items.push_back(item);
  }
  scheduler_ = PollScheduler(MakePollPlan(input), bus_.bitrate, bus_.poll_share, clock_.Now());
  for (const PlannedRead& read : plan().reads) image_.SetGoodFor(read.data_id, read.good_for);
}

void Poller::Stop(const absl::Status& why) {
  running_ = false;
  ++generation_;
  timers_.Cancel(timer_);
  timer_ = 0;
  for (auto& [key, waiting] : std::exchange(waiting_, {})) {
    for (const Done& done : waiting.done) done(why);
  }
}

void Poller::WakeAt(MonoTime when) {
  timers_.Cancel(timer_);
  timer_ = 0;
  if (when == kNever) return;
  timer_ = timers_.At(when, [this] {
    timer_ = 0;
    queue_.Pump();
  });
}

void Poller::OnIdle() {
  if (!running_) return;
  const MonoTime now = clock_.Now();
  if (!waiting_.empty() && now >= refresh_turn_) return IssueRefresh();
  MonoTime next = kNever;
  const int index = scheduler_.Take(now, &next);
  if (index >= 0) return Issue(index);
  if (!waiting_.empty()) {
    if (now >= scheduler_.rest_until()) return IssueRefresh();
    next = std::min({next, refresh_turn_, scheduler_.rest_until()});
  }
  WakeAt(next);
}

ReadRequest Poller::RequestFor(const PlannedRead& read) const {
  ReadRequest request{.data_id = read.data_id, .timeout = settings_.multiple_timeout};
  switch (read.form) {
    case ReadForm::kModule:
      request.frame = ReadModuleFrame(settings_.address, read.data_id);
      request.timeout = settings_.single_timeout;
      break;
    case ReadForm::kMultiple:
      request.frame =
          ReadMultipleFrame(settings_.address, read.data_id, read.mask,
                            static_cast<uint8_t>(read.mask == 0 ? 0 : read.first_channel));
      request.answers = ReadRequest::Answers::kChannels;
      request.first = read.first_channel;
      request.count = read.channel_count;
      break;
    case ReadForm::kGroup: {
      request.frame = ReadModuleFrame(settings_.address, read.data_id);
      const Register* row = FindRegister(read.data_id);
      if (row != nullptr && row->type == WireType::kTextPiece) {
        request.answers = ReadRequest::Answers::kPieces;
      } else {
        request.answers = ReadRequest::Answers::kIndexed;
        const auto size = group_sizes_.find(read.data_id);
        request.count = size == group_sizes_.end() ? 0 : size->second;
      }
      break;
    }
  }
  return request;
}

void Poller::Issue(int index) {
  const PlannedRead read = plan().reads[static_cast<size_t>(index)];
  if (image_.IsAbsent(read.data_id)) {
    PollDone(read, {});
    queue_.Pump();
    return;
  }
  ReadRequest request = RequestFor(read);
  request.priority = Priority::kPoll;
  request.tries = kPollTries;
  const int generation = generation_;
  request.done = [this, generation, read](const ReadResult& result) {
    if (generation == generation_) PollDone(read, result);
  };
  queue_.Read(std::move(request));
}

void Poller::PollDone(const PlannedRead& read, const ReadResult& result) {
  const uint16_t data_id = read.data_id;
  if (result.answers > 0) {
    answered_.insert(data_id);
    if (read.form == ReadForm::kGroup) {
      // Nobody says how many members a group has: the first read waits and counts.
      if (result.status.ok()) {
        group_sizes_[data_id] = result.answers;
      } else {
        group_sizes_.erase(data_id);
      }
    }
  } else if (absl::IsDeadlineExceeded(result.status) && !answered_.contains(data_id) &&
             !answered_.empty() && ++unanswered_[data_id] >= kReadsUntilAbsent) {
    image_.MarkAbsent(data_id);
  }
  if (data_id == id::kSetValuesChanged) {
    const std::optional<uint32_t> counter = image_.Register(DeviceImage::kDevice, data_id);
    if (counter && set_values_counter_ && *counter != *set_values_counter_) HurrySetValues();
    if (counter) set_values_counter_ = *counter;
  }
  pass_(data_id);
  open_.erase({data_id, read.first_channel});
  if (open_.empty() && !std::exchange(reported_polled_, true)) polled_();
}

void Poller::Hurry(uint16_t data_id) {
  if (!running_) return;
  scheduler_.Hurry(data_id, clock_.Now());
  scheduler_.Hurry(data_id | kWideBit, clock_.Now());
  queue_.Pump();
}

void Poller::HurrySetValues() {
  if (!running_) return;
  std::set<uint16_t> changed;
  // Where outputs have modes, their nominal values and ramp bounds change with them.
  const bool modes = (image_.items().features() & feature::kOutputModes) != 0;
  for (const PlannedRead& read : plan().reads) {
    const bool of_mode = modes && read.rate == PollRate::kStill && read.form == ReadForm::kMultiple;
    if (read.rate == PollRate::kRare || of_mode) changed.insert(read.data_id);
  }
  for (const uint16_t data_id : changed) scheduler_.Hurry(data_id, clock_.Now());
  queue_.Pump();
}

std::vector<PlannedRead> Poller::ReadsOf(const std::vector<ItemId>& items,
                                         absl::Status* absent) const {
  std::map<uint16_t, uint64_t> wanted;
  std::string names;
  const DeviceItems& table = image_.items();
  for (const ItemId item : items) {
    const std::optional<uint16_t> data_id = table.DataId(item);
    if (!data_id) continue;
    if (image_.IsAbsent(*data_id)) {
      names += (names.empty() ? "" : ", ") + table.table()->Name(item);
      continue;
    }
    wanted[*data_id] |= uint64_t{1} << std::max(table.Channel(item), 0);
  }
  if (!names.empty()) {
    *absent = MakeError(absl::StatusCode::kFailedPrecondition, "ITEM_NOT_AVAILABLE",
                        "the device does not have " + names, {{"items", names}});
  }
  std::vector<PlannedRead> reads;
  for (const auto& [data_id, channels] : wanted) {
    const Register* row = FindRegister(data_id);
    const ReadForm form = FormOf(data_id, row == nullptr ? WireType::kUiAny : row->type);
    if (form != ReadForm::kMultiple) {
      reads.push_back({.data_id = data_id, .form = form});
      continue;
    }
    for (int first = 0; first < image_.channels(); first += kChannelsPerMask) {
      const auto mask = static_cast<uint16_t>(channels >> first);
      if (mask == 0) continue;
      reads.push_back({.data_id = data_id,
                       .form = form,
                       .first_channel = first,
                       .channel_count = kChannelsPerMask,
                       .mask = mask});
    }
  }
  return reads;
}

Poller::Done Poller::Joined(size_t count, absl::Status absent,
                            std::function<void(absl::Status)> done) {
  struct Progress {
    size_t left;
    absl::Status absent;  // told only when all else was read: a silent device is worse
    absl::Status status;
    std::function<void(absl::Status)> done;
  };
  auto progress = std::make_shared<Progress>(
      Progress{count, std::move(absent), absl::OkStatus(), std::move(done)});
  return [progress](const absl::Status& status) {
    if (progress->status.ok()) progress->status = status;
    if (--progress->left > 0 || !progress->done) return;
    progress->done(progress->status.ok() ? progress->absent : progress->status);
  };
}

ReadRequest Poller::OnceRequestFor(const PlannedRead& read) const {
  ReadRequest request;
  if (read.form == ReadForm::kMultiple && std::has_single_bit(read.mask)) {
    // One channel: the single form, known to every firmware.
    const int channel = read.first_channel + std::countr_zero(read.mask);
    request = {.frame = ReadChannelFrame(settings_.address, read.data_id, channel),
               .data_id = read.data_id,
               .first = channel,
               .timeout = settings_.single_timeout};
  } else {
    request = RequestFor(read);
    if (read.form == ReadForm::kMultiple) {
      request.wanted = uint64_t{read.mask} << read.first_channel;
    }
  }
  request.tries = kPollTries;
  return request;
}

void Poller::Read(std::vector<ItemId> items, Priority priority, OwnerId owner,
                  std::shared_ptr<const CommandGuard> guard,
                  std::function<void(absl::Status)> done) {
  absl::Status absent;
  const std::vector<PlannedRead> reads = ReadsOf(items, &absent);
  const Done one_done = Joined(reads.size() + 1, std::move(absent), std::move(done));
  for (const PlannedRead& read : reads) {
    ReadRequest request = OnceRequestFor(read);
    request.priority = priority;
    request.owner = owner;
    request.guard = guard;
    const uint16_t data_id = read.data_id;
    request.done = [this, data_id, one_done](const ReadResult& result) {
      if (result.answers > 0) pass_(data_id);
      one_done(result.status);
    };
    queue_.Read(std::move(request));
  }
  one_done(absl::OkStatus());
}

void Poller::Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) {
  absl::Status absent;
  const std::vector<PlannedRead> reads = ReadsOf(items, &absent);
  const Done one_done = Joined(reads.size() + 1, std::move(absent), std::move(done));
  for (const PlannedRead& read : reads) {
    if (!running_) {
      one_done(absl::UnavailableError("the device is not polled"));
      continue;
    }
    // Only those that were not sent yet are joined: an answer under way may be older than the
    // question.
    Waiting& waiting = waiting_[{read.data_id, read.first_channel}];
    const auto mask = static_cast<uint16_t>(waiting.read.mask | read.mask);
    waiting.read = read;
    waiting.read.mask = mask;
    waiting.done.push_back(one_done);
  }
  one_done(absl::OkStatus());
  queue_.Pump();
}

void Poller::IssueRefresh() {
  auto next = waiting_.upper_bound(last_refresh_);
  if (next == waiting_.end()) next = waiting_.begin();
  last_refresh_ = next->first;
  const Waiting refresh = std::move(next->second);
  waiting_.erase(next);

  const PlannedRead& read = refresh.read;
  const Register* row = FindRegister(read.data_id);
  const size_t length = row == nullptr ? 0 : WireLength(row->type);
  int answers = 1;
  if (read.form == ReadForm::kMultiple) answers = std::popcount(read.mask);
  if (read.form == ReadForm::kGroup) {
    const auto size = group_sizes_.find(read.data_id);
    answers = size == group_sizes_.end() ? kLargestGroup : size->second;
  }
  const int bits = ReadBits(read.form, length == 0 ? kAnyLength : static_cast<int>(length), answers,
                            settings_.address.line != 0);
  const MonoTime now = clock_.Now();
  scheduler_.Charge(bits, now);
  refresh_turn_ = now + kRefreshRests * scheduler_.RestOf(bits);

  ReadRequest request = OnceRequestFor(read);
  request.priority = Priority::kRefresh;
  const uint16_t data_id = read.data_id;
  request.done = [this, data_id, done = refresh.done](const ReadResult& result) {
    if (result.answers > 0) pass_(data_id);
    for (const Done& one_done : done) one_done(result.status);
  };
  queue_.Read(std::move(request));
}

}  // namespace canhub::iseg
