// Collects what is wrong with a file, so that all of it is told at once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace canhub {

class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}

  const std::string& file() const { return file_; }
  bool empty() const { return problems_.empty(); }
  size_t size() const { return problems_.size(); }
  // `key` is the path, "devices.hv0.limits.voltage"; "" for the file as a whole.
  void Add(int line, std::string_view key, std::string_view text);
  // Add with "found …, expected …".
  void Add(int line, std::string_view key, std::string_view found, std::string_view expected);
  // "lab.yaml:41, devices.hv0.limits.voltage".
  std::string Origin(int line, std::string_view key) const;
  // OK when empty; otherwise INVALID_ARGUMENT, one line per problem in the order of the file:
  // "lab.yaml:41: devices.hv0.limits.voltage: found …, expected …". At most kMaxShown lines and how
  // many more there are.
  absl::Status ToStatus() const;
  static constexpr size_t kMaxShown = 100;

 private:
  struct Problem {
    int line;
    std::string key, text;
    friend auto operator<=>(const Problem&, const Problem&) = default;
  };
  std::string file_;
  std::vector<Problem> problems_;
};

// The name closest to `name` when it is close enough to be meant (a third of its letters wrong at
// most), otherwise "". Upper and lower case count as a quarter of a difference.
std::string ClosestName(std::string_view name, const std::vector<std::string>& names);
// ` (did you mean "voltage"?)`, or "".
std::string Suggestion(std::string_view name, const std::vector<std::string>& names);
// "a, b or c"; "nothing" when empty.
std::string JoinNames(const std::vector<std::string>& names);
// In quotes, control characters escaped, shortened to 60 characters.
std::string Quote(std::string_view text);

}  // namespace canhub
