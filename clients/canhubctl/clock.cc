#include "clients/canhubctl/clock.h"

namespace canhub::ctl {

using std::chrono::duration_cast;
using std::chrono::nanoseconds;
using std::chrono::seconds;

WallTime Now() { return std::chrono::system_clock::now(); }

WallTime ToWallTime(const google::protobuf::Timestamp& time) {
  return WallTime(
      duration_cast<WallTime::duration>(seconds(time.seconds()) + nanoseconds(time.nanos())));
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
