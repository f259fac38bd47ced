// Readings as lines of a log: for people, for spreadsheets, for programs.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "canhub/v1/common.pb.h"

namespace canhub::ctl {

enum class LogFormat { kLines, kCsv, kJsonLines };

// "lines", "csv", "jsonl"; the caller has checked the name.
LogFormat LogFormatByName(std::string_view name);

// A field of a CSV line, quoted where RFC 4180 wants it.
std::string CsvField(std::string_view text);

class ReadingLog {
 public:
  // Writes the title line of a CSV file. The stream outlives this.
  ReadingLog(std::ostream& out, LogFormat format);
  void Write(const v1::Reading& reading);

 private:
  std::ostream& out_;
  const LogFormat format_;
};

}  // namespace canhub::ctl
