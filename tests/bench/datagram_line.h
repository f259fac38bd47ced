// The far end of a line made of Unix datagrams (bench_bus.h): one can_frame per datagram.
#pragma once

#include <linux/can.h>
#include <sys/un.h>

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/bus/io.h"

namespace canhub::bench {

sockaddr_un LineAddress(const std::string& path);
// A socket that receives at `path`, where nothing else may be; ends the program with a message when
// that cannot be.
UniqueFd BindLine(const std::string& path);
// A socket that sends to `path` and receives nothing; ends the program when nobody is there. Ten
// frames may wait there; who sends more waits.
UniqueFd ConnectLine(const std::string& path);

// The next frame; nothing after `timeout_ms` (-1: never).
std::optional<can_frame> ReceiveFrame(int line, int timeout_ms = -1);

}  // namespace canhub::bench
