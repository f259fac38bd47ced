// The client's only reads of a clock.
#pragma once

#include <chrono>

#include "google/protobuf/timestamp.pb.h"

namespace canhub::ctl {

using WallTime = std::chrono::system_clock::time_point;

// For gRPC deadlines, "how long ago", and --since.
WallTime Now();

// Within what a WallTime holds, 1811 to 2262: the message may come from anywhere.
WallTime ToWallTime(const google::protobuf::Timestamp& time);
google::protobuf::Timestamp ToTimestamp(WallTime time);

}  // namespace canhub::ctl
