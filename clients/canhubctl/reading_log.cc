#include "clients/canhubctl/reading_log.h"

#include "clients/canhubctl/output.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {

LogFormat LogFormatByName(std::string_view name) {
  if (name == "csv") return LogFormat::kCsv;
  if (name == "jsonl") return LogFormat::kJsonLines;
  return LogFormat::kLines;
}

std::string CsvField(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

ReadingLog::ReadingLog(std::ostream& out, LogFormat format) : out_(out), format_(format) {
  if (format_ == LogFormat::kCsv) out_ << "time,name,value,unit,quality\n" << std::flush;
}

void ReadingLog::Write(const v1::Reading& reading) {
  switch (format_) {
    case LogFormat::kJsonLines:
      out_ << ToJson(reading, true);
      break;
    case LogFormat::kCsv:
      out_ << FormatIsoTime(reading.read_time()) << "," << CsvField(reading.name()) << ","
           << CsvField(ExactValue(reading.value())) << "," << CsvField(reading.unit()) << ","
           << QualityName(reading.quality());
      break;
    case LogFormat::kLines:
      // A reading that was never read has no time.
      out_ << (reading.has_read_time() ? FormatTimeOfDay(ToWallTime(reading.read_time()))
                                       : std::string("--:--:--.---"))
           << "  " << reading.name() << "  " << FormatReadingValue(reading);
      if (reading.quality() != v1::QUALITY_GOOD) out_ << "  " << QualityName(reading.quality());
      break;
  }
  // Each line at once: somebody may be reading a pipe.
  out_ << "\n" << std::flush;
}

}  // namespace canhub::ctl
