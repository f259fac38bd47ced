// What is read from a device, in which order and how often, so that the line keeps its room.
// Pure: no clock, no I/O.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

#include "drivers/api/time.h"

namespace canhub::iseg {

// Bits a data frame of `data_bytes` takes at worst, with every possible stuff bit and 3 bits of
// interframe space: 47 + 8n + (33 + 8n)/4 with 11-bit identifiers, 67 + 8n + (53 + 8n)/4 with 29.
int WorstCaseBits(int data_bytes, bool extended);
Duration WireTime(int bits, uint32_t bitrate);

enum class ReadForm : uint8_t {
  kModule,    // one answer
  kMultiple,  // one answer per channel
  kGroup,     // one answer per index
};

// How often. The facts' masters read set values and identity once; here they are read again from
// time to time, because no reading may be GOOD for ever (S03).
enum class PollRate : uint8_t {
  kFast,   // measured values, channel status and events
  kSlow,   // module status and events, temperatures, supplies, the change counter
  kRare,   // set values and policies, beside the reads after a write and after 0x1090 moved
  kStill,  // identity and nominal values
};
inline constexpr int kPollRateCount = 4;

struct PollItem {
  uint16_t data_id = 0;  // channels: the single form, 0x4102
  ReadForm form = ReadForm::kModule;
  int value_bytes = 0;  // of one answer, without DATA_ID, channel or index
  int answers = 1;      // kGroup: how many frames answer
  PollRate rate = PollRate::kFast;
};

struct PollPlanInput {
  uint32_t bitrate = 125000;
  double share = 0.5;     // of the line's time, 0 … 1
  int channels = 0;       // 0 … 48
  bool extended = false;  // 29-bit identifiers
  bool short_form = false;
  // What is wished for; the plan never polls faster, and slower where the share does not allow it.
  Duration fast_period = std::chrono::milliseconds(500);
  Duration slow_period = std::chrono::seconds(5);
  Duration rare_period = std::chrono::seconds(60);
  Duration still_period = std::chrono::seconds(600);
  Duration single_timeout = std::chrono::milliseconds(50);
  Duration multiple_timeout = std::chrono::milliseconds(500);
  std::vector<PollItem> items;
};

struct PlannedRead {
  uint16_t data_id = 0;
  ReadForm form = ReadForm::kModule;
  // kMultiple: the channels first … first + count - 1; `mask` is what the request carries, 0 in
  // the short form.
  int first_channel = 0;
  int channel_count = 0;
  uint16_t mask = 0;
  int answers = 1;
  int bits = 0;  // at worst: the request and all its answers
  PollRate rate = PollRate::kFast;
  Duration period{};
  // From a reading to the moment when it is STALE: kStaleAfterPeriods periods and the time-out.
  Duration good_for{};
  // When it is read first, from the start of polling. Fast reads begin at once; all others follow
  // as soon as what the fast ones leave of the share allows.
  Duration offset{};
};

struct PollPlan {
  std::vector<PlannedRead> reads;  // by rate, then in the order of the items
  std::array<Duration, kPollRateCount> periods{};
  double load = 0;  // share of the line's time that all reads take at worst
  // When every read has been done once.
  Duration first_pass{};

  Duration period(PollRate rate) const { return periods[static_cast<size_t>(rate)]; }
};

// A reading is GOOD for three periods and a time-out: one lost answer is noise, two are bad luck,
// three are a device that stopped sending it (S03).
inline constexpr int kStaleAfterPeriods = 3;
// A logged-on device announces itself again after a minute without access (section 9.1); twice as
// often is sure (checklist, item 4).
inline constexpr Duration kLongestPeriod = std::chrono::seconds(30);
// What is left of the share for read-backs, refreshes and retries.
inline constexpr double kPlannedPartOfShare = 0.9;
// Assumed time from a request's end to its first answer. No source states it; it bounds the plan
// only where the line itself is fast.
inline constexpr Duration kAssumedTurnaround = std::chrono::milliseconds(2);

Duration GoodFor(Duration period, Duration timeout);
// Bits of a read at worst: the request and all its answers.
int ReadBits(ReadForm form, int value_bytes, int answers, bool extended);
PollPlan MakePollPlan(const PollPlanInput& input);

// Runs a plan: says which read is next and when. No read starts before the line had its rest from
// the one before, so the share holds in every second, not only on average.
class PollScheduler {
 public:
  PollScheduler() = default;
  PollScheduler(PollPlan plan, uint32_t bitrate, double share, MonoTime now);

  const PollPlan& plan() const { return plan_; }
  // The read that is due at `now`, or -1; then *next is when to ask again (kNever: never).
  int Take(MonoTime now, MonoTime* next);
  // Puts a read in front: the device said that its value changed.
  void Hurry(uint16_t data_id, MonoTime now);
  // Charges bits that the plan did not foresee: a refresh.
  void Charge(int bits, MonoTime now);
  // How long the line rests after so many bits, that the share holds.
  Duration RestOf(int bits) const;
  // No poll starts before.
  MonoTime rest_until() const { return rest_until_; }

 private:
  PollPlan plan_;
  std::vector<MonoTime> due_;
  uint32_t bitrate_ = 125000;
  double share_ = 0.5;
  MonoTime rest_until_{};
};

}  // namespace canhub::iseg
