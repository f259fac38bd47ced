// The exit codes of canhubctl. They are stable: scripts rely on them.
#pragma once

namespace canhub::ctl {

enum class ExitCode : int {
  kOk = 0,
  kOther = 1,             // anything else: a file that cannot be written, CANCELLED, UNKNOWN
  kUsage = 2,             // the command line is wrong; nothing was sent
  kRefused = 3,           // INVALID_ARGUMENT, OUT_OF_RANGE, FAILED_PRECONDITION, PERMISSION_DENIED,
                          // UNAUTHENTICATED, ALREADY_EXISTS
  kNotFound = 4,          // NOT_FOUND, UNIMPLEMENTED
  kUnavailable = 5,       // UNAVAILABLE, no connection, or no believable value
  kDeadlineExceeded = 6,  // DEADLINE_EXCEEDED
  kAborted = 7,           // ABORTED
  kResourceExhausted = 8,  // RESOURCE_EXHAUSTED
  kInternal = 9,           // INTERNAL, DATA_LOSS
};

inline constexpr char kExitCodeHelp[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  other (a file cannot be written, cancelled)\n"
    "  2  the command line is wrong; nothing was sent\n"
    "  3  refused: invalid, out of range, precondition, permission, repeated request id\n"
    "  4  no such thing, or the device cannot do that\n"
    "  5  unavailable: no daemon, no device, or no believable value\n"
    "  6  deadline exceeded: sent but not confirmed in time; read before you retry\n"
    "  7  aborted: lease lost, or replaced by a newer command\n"
    "  8  a queue or a limit is full\n"
    "  9  internal error of the daemon\n";

}  // namespace canhub::ctl
