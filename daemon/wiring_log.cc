#include "daemon/wiring_log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <string>

namespace canhub {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

std::string_view JournalPrefix(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
    case LogLevel::kDebug:
      return "<7>";
    case LogLevel::kInfo:
      return "<6>";
    case LogLevel::kWarning:
      return "<4>";
    case LogLevel::kError:
      return "<3>";
  }
  return "<3>";
}

DaemonLog::DaemonLog(LogLevel level, bool journal)
    : journal_(journal),
      level_(level),
      logger_(std::make_shared<spdlog::logger>("canhub",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  logger_->set_level(spdlog::level::trace);  // level_ decides
  logger_->flush_on(spdlog::level::trace);
  logger_->set_pattern(journal ? "%v" : "%Y-%m-%d %H:%M:%S.%e %-7l %v");
  // A full disk or a closed pipe must not make the logger talk about itself.
  logger_->set_error_handler([](const std::string&) {});
}

bool DaemonLog::StderrIsJournal() { return std::getenv("JOURNAL_STREAM") != nullptr; }

void DaemonLog::Log(LogLevel level, std::string_view text) {
  if (level < level_.load(std::memory_order_relaxed)) return;
  // One entry per line: a text of a client or a device cannot forge one.
  while (true) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (journal_) {
      logger_->log(ToSpdlog(level), "{}{}", JournalPrefix(level), line);
    } else {
      logger_->log(ToSpdlog(level), "{}", line);
    }
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

LogLevel DaemonLog::SetLevel(LogLevel level) { return level_.exchange(level); }

}  // namespace canhub
