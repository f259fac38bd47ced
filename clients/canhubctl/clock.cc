#include "clients/canhubctl/clock.h"

#include <algorithm>

namespace canhub::ctl {

using std::chrono::duration_cast;
using std::chrono::nanoseconds;
using std::chrono::seconds;

WallTime Now() { return std::chrono::system_clock::now(); }

WallTime ToWallTime(const google::protobuf::Timestamp& time) {
  // Back so far that the difference to today fits, too.
  constexpr int64_t kLeast = -5'000'000'000;
  constexpr int64_t kMost = 9'223'372'035;
  const seconds whole(std::clamp<int64_t>(time.seconds(), kLeast, kMost));
  const nanoseconds rest(std::clamp(time.nanos(), 0, 999'999'999));
  return WallTime(duration_cast<WallTime::duration>(whole + rest));
}

google::protobuf::Timestamp ToTimestamp(WallTime time) {
  const auto since_epoch = time.time_since_epoch();
  const auto whole = std::chrono::floor<seconds>(since_epoch);
  google::protobuf::Timestamp result;
  result.set_seconds(whole.count());
  result.set_nanos(static_cast<int32_t>(duration_cast<nanoseconds>(since_epoch - whole).count()));
  return result;
}

}  // namespace canhub::ctl
