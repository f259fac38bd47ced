#include "drivers/ystech-pcs/poller.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace canhub::ystech_pcs {
namespace {

// A device that answers does so at once; what the sources do not say is taken for soon.
constexpr Duration kReadTimeout = std::chrono::milliseconds(500);
constexpr int kGivenUp = 2;

}  // namespace

ReadRequest ReadProtection(const Settings& settings, int set) {
  constexpr Pf kReplies[] = {Pf::kProtectionParams1Reply, Pf::kProtectionParams2Reply,
                             Pf::kProtectionParams3Reply};
  return {EncodeAs(settings.address, ReadProtectionParams{.set = set}, settings.codec).value(),
          {kReplies[set - 1]}};
}

ReadRequest ReadSpecial(const Settings& settings, uint8_t type) {
  const SpecialSpec& spec = *FindSpecial(type);
  return {EncodeAs(settings.address, ReadSpecialData{.type = type}, settings.codec).value(),
          {spec.replies.begin(), spec.replies.end()}};
}

std::optional<ReadRequest> ReadOf(const Settings& settings, Pf reply) {
  switch (reply) {
    case Pf::kProtectionParams1Reply:
      return ReadProtection(settings, 1);
    case Pf::kProtectionParams2Reply:
      return ReadProtection(settings, 2);
    case Pf::kProtectionParams3Reply:
      return ReadProtection(settings, 3);
    default:
      break;
  }
  for (const SpecialSpec& spec : Specials()) {
    if (std::find(spec.replies.begin(), spec.replies.end(), reply) != spec.replies.end()) {
      return ReadSpecial(settings, spec.type);
    }
  }
  return std::nullopt;
}

Poller::Poller(const Settings& settings, const Clock& clock, Timers& timers, Exchange& exchange,
               std::function<bool()> may_ask, std::function<void()> polled)
    : settings_(settings),
      clock_(clock),
      timers_(timers),
      exchange_(exchange),
      may_ask_(std::move(may_ask)),
      polled_(std::move(polled)) {
  // Who they are, what they may, what they do: then the rest.
  const auto add = [&](ReadRequest read, Duration period) {
    items_.push_back({.read = std::move(read), .period = period});
  };
  add(ReadSpecial(settings_, kSpecialVersions), settings_.slow_poll);
  for (const int set : {1, 2, 3}) add(ReadProtection(settings_, set), settings_.slow_poll);
  add(ReadSpecial(settings_, kSpecialWorkingMode), settings_.poll);
  add(ReadSpecial(settings_, kSpecialIo), settings_.poll);
  for (const SpecialSpec& spec : Specials()) {
    if (spec.set && spec.type != kSpecialIo) {
      add(ReadSpecial(settings_, spec.type), settings_.slow_poll);
    }
  }
}

void Poller::Start() {
  running_ = true;
  told_ = false;
  for (Item& item : items_) {
    item.due = clock_.Now();
    item.unanswered = 0;
    item.done = false;
  }
  Turn();
}

void Poller::Stop() {
  if (asking_) exchange_.Abandon();
  asking_.reset();
  running_ = false;
  timers_.Cancel(timer_);
}

void Poller::Hurry(Pf reply) {
  for (Item& item : items_) {
    const std::vector<Pf>& replies = item.read.replies;
    if (std::find(replies.begin(), replies.end(), reply) != replies.end()) item.due = clock_.Now();
  }
  Turn();
}

void Poller::GiveWay() {
  if (!asking_) return;
  asking_.reset();
  exchange_.Abandon();
}

void Poller::Turn() {
  if (!running_ || exchange_.busy() || !may_ask_()) return;
  const auto next = std::min_element(items_.begin(), items_.end(),
                                     [](const Item& a, const Item& b) { return a.due < b.due; });
  if (next->due <= clock_.Now()) return Ask(static_cast<size_t>(next - items_.begin()));
  timers_.Cancel(timer_);
  timer_ = timers_.At(next->due, [this] { Turn(); });
}

void Poller::Ask(size_t index) {
  asking_ = index;
  exchange_.Start({.frame = items_[index].read.frame,
                   .urgency = Urgency::kPoll,
                   .replies = items_[index].read.replies,
                   .timeout = kReadTimeout,
                   .done = [this, index](const absl::StatusOr<Exchange::Replies>& replies) {
                     OnReply(index, replies.status());
                   }});
}

void Poller::OnReply(size_t index, const absl::Status& status) {
  asking_.reset();
  Item& item = items_[index];
  item.unanswered = status.ok() ? 0 : item.unanswered + 1;
  if (status.ok() || item.unanswered >= kGivenUp) item.done = true;
  const bool rare = item.unanswered >= kGivenUp;
  item.due = clock_.Now() + (rare ? settings_.slow_poll : item.period);
  if (!status.ok() && !rare) item.due = clock_.Now() + kReadTimeout;
  if (!told_ && std::all_of(items_.begin(), items_.end(), [](const Item& i) { return i.done; })) {
    told_ = true;
    polled_();
  }
  Turn();
}

}  // namespace canhub::ystech_pcs
