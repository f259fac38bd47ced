#include "drivers/iseg/poll_plan.h"

#include <algorithm>
#include <cmath>

namespace canhub::iseg {
namespace {

constexpr int kModuleReadBytes = 2;    // DATA_ID
constexpr int kMultipleReadBytes = 5;  // DATA_ID, mask, offset
constexpr int kModuleHeader = 2;       // of an answer: DATA_ID
constexpr int kIndexedHeader = 3;      // DATA_ID and channel or index
constexpr int kChannelsPerMask = 16;
constexpr int kLongestFrame = 8;
constexpr double kLeastShare = 0.001;
constexpr double kLeastFirstPassPart = 0.2;

Duration Scaled(Duration period, double factor) {
  return Duration(static_cast<int64_t>(std::ceil(static_cast<double>(period.count()) * factor)));
}

double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

// One read, or one per 16 channels.
std::vector<PlannedRead> Expand(const PollItem& item, const PollPlanInput& input) {
  PlannedRead read{.data_id = item.data_id, .form = item.form, .rate = item.rate};
  if (item.form != ReadForm::kMultiple) {
    read.answers = item.form == ReadForm::kModule ? 1 : std::max(item.answers, 1);
    read.bits = ReadBits(item.form, item.value_bytes, read.answers, input.extended);
    return {read};
  }
  std::vector<PlannedRead> reads;
  const int step = input.short_form ? std::max(input.channels, 1) : kChannelsPerMask;
  for (int first = 0; first < input.channels; first += step) {
    read.first_channel = first;
    read.channel_count = std::min(step, input.channels - first);
    read.answers = read.channel_count;
    read.mask =
        input.short_form ? uint16_t{0} : static_cast<uint16_t>((1u << read.channel_count) - 1);
    read.bits = ReadBits(item.form, item.value_bytes, read.answers, input.extended);
    reads.push_back(read);
  }
  return reads;
}

}  // namespace

int WorstCaseBits(int data_bytes, bool extended) {
  return extended ? 67 + 8 * data_bytes + (53 + 8 * data_bytes) / 4
                  : 47 + 8 * data_bytes + (33 + 8 * data_bytes) / 4;
}

Duration WireTime(int bits, uint32_t bitrate) {
  return Duration(int64_t{bits} * 1'000'000'000 / std::max<uint32_t>(bitrate, 1));
}

Duration GoodFor(Duration period, Duration timeout) {
  return kStaleAfterPeriods * period + timeout;
}

int ReadBits(ReadForm form, int value_bytes, int answers, bool extended) {
  const int request = form == ReadForm::kMultiple ? kMultipleReadBytes : kModuleReadBytes;
  const int header = form == ReadForm::kModule ? kModuleHeader : kIndexedHeader;
  return WorstCaseBits(request, extended) +
         answers * WorstCaseBits(std::min(header + value_bytes, kLongestFrame), extended);
}

PollPlan MakePollPlan(const PollPlanInput& input) {
  PollPlan plan;
  for (int rate = 0; rate < kPollRateCount; ++rate) {
    for (const PollItem& item : input.items) {
      if (item.rate != static_cast<PollRate>(rate)) continue;
      for (PlannedRead& read : Expand(item, input)) plan.reads.push_back(read);
    }
  }
  const double share = std::clamp(input.share, kLeastShare, 1.0);
  plan.periods = {input.fast_period, input.slow_period, input.rare_period, input.still_period};
  // Time on the line, and time at all: one read is under way at a time, so answers that are slow
  // to come bound the rate as well.
  double load = 0;
  double busy = 0;
  for (const PlannedRead& read : plan.reads) {
    const double period = Seconds(plan.period(read.rate));
    const double wire = Seconds(WireTime(read.bits, input.bitrate));
    load += wire / period;
    busy += (wire + Seconds(kAssumedTurnaround)) / period;
  }
  const double stretch = std::max({1.0, load / (share * kPlannedPartOfShare), busy});
  for (Duration& period : plan.periods) period = Scaled(period, stretch);
  // The keep-alive: the most frequent reads come at least this often, whatever was configured.
  if (!plan.reads.empty()) {
    Duration& shortest = plan.periods[static_cast<size_t>(plan.reads.front().rate)];
    shortest = std::min(shortest, kLongestPeriod);
  }

  double fast_load = 0;
  for (const PlannedRead& read : plan.reads) {
    const double load_of_read =
        Seconds(WireTime(read.bits, input.bitrate)) / Seconds(plan.period(read.rate));
    plan.load += load_of_read;
    if (read.rate == PollRate::kFast) fast_load += load_of_read;
  }
  // The rest of the share, but never so little that the first pass would take for ever.
  const double first_pass_share = std::max(share - fast_load, share * kLeastFirstPassPart);
  for (PlannedRead& read : plan.reads) {
    read.period = plan.period(read.rate);
    read.good_for = GoodFor(read.period, read.form == ReadForm::kModule ? input.single_timeout
                                                                        : input.multiple_timeout);
    if (read.rate == PollRate::kFast) continue;
    read.offset = plan.first_pass;
    plan.first_pass += Scaled(WireTime(read.bits, input.bitrate), 1 / first_pass_share);
  }
  return plan;
}

PollScheduler::PollScheduler(PollPlan plan, uint32_t bitrate, double share, MonoTime now)
    : plan_(std::move(plan)),
      bitrate_(bitrate),
      share_(std::clamp(share, kLeastShare, 1.0)),
      rest_until_(now) {
  due_.reserve(plan_.reads.size());
  for (const PlannedRead& read : plan_.reads) due_.push_back(now + read.offset);
}

int PollScheduler::Take(MonoTime now, MonoTime* next) {
  *next = kNever;
  if (due_.empty()) return -1;
  const size_t first =
      static_cast<size_t>(std::min_element(due_.begin(), due_.end()) - due_.begin());
  const MonoTime when = std::max(due_[first], rest_until_);
  if (now < when) {
    *next = when;
    return -1;
  }
  const PlannedRead& read = plan_.reads[first];
  // Late beats are not made up for: the next one is a period after this one.
  due_[first] += read.period;
  if (due_[first] <= now) due_[first] = now + read.period;
  Charge(read.bits, now);
  return static_cast<int>(first);
}

void PollScheduler::Hurry(uint16_t data_id, MonoTime now) {
  for (size_t i = 0; i < due_.size(); ++i) {
    if (plan_.reads[i].data_id == data_id) due_[i] = std::min(due_[i], now);
  }
}

void PollScheduler::Charge(int bits, MonoTime now) {
  rest_until_ = std::max(rest_until_, now) + RestOf(bits);
}

Duration PollScheduler::RestOf(int bits) const {
  return Scaled(WireTime(bits, bitrate_), 1 / share_);
}

}  // namespace canhub::iseg
