// The daemon's log, on stderr: for the journal with its priorities, for people with the time.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include "drivers/api/driver.h"

namespace spdlog {
class logger;
}

namespace canhub {

// Thread-safe.
class DaemonLog {
 public:
  // `journal`: lines begin with "<6>" and the like (sd-daemon(3)) instead of the time.
  DaemonLog(LogLevel level, bool journal);
  // True when stderr is connected to the journal, or to whatever systemd put there.
  static bool StderrIsJournal();

  void Log(LogLevel level, std::string_view text);
  // Returns the level before.
  LogLevel SetLevel(LogLevel level);

 private:
  const bool journal_;
  std::atomic<LogLevel> level_;
  const std::shared_ptr<spdlog::logger> logger_;
};

// "<4>" for a warning: syslog's numbers.
std::string_view JournalPrefix(LogLevel level);

}  // namespace canhub
