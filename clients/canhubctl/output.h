// Where results go: tables for people, JSON for programs.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "clients/canhubctl/failure.h"
#include "google/protobuf/message.h"

namespace canhub::ctl {

enum class Colour { kNone, kGood, kWarn, kBad, kDim, kBold };

class Output {
 public:
  struct Options {
    bool json = false;
    bool colour = false;    // `out` is a terminal that shows colours
    bool terminal = false;  // `out` is a terminal
  };
  // The streams outlive this.
  Output(std::ostream& out, std::ostream& err, Options options)
      : out_(out), err_(err), options_(options) {}

  bool json() const { return options_.json; }
  bool terminal() const { return options_.terminal; }
  std::ostream& out() { return out_; }
  std::ostream& err() { return err_; }

  std::string Paint(Colour colour, std::string_view text) const;
  void Line(std::string_view text) { out_ << text << "\n"; }
  // For people only: nothing in JSON mode.
  void Note(std::string_view text) {
    if (!options_.json) out_ << text << "\n";
  }
  // Readable JSON, or all on one line.
  void Json(const google::protobuf::Message& message);
  void JsonLine(const google::protobuf::Message& message);
  // To standard error: a line, or with --json an object. Returns the failure's exit code.
  ExitCode Fail(const Failure& failure);

 private:
  std::ostream& out_;
  std::ostream& err_;
  const Options options_;
};

// Field names as in the proto, so that what is read can be written; defaults are printed. 64-bit
// integers are strings, as protobuf's JSON mapping has it.
std::string ToJson(const google::protobuf::Message& message, bool one_line);

}  // namespace canhub::ctl
