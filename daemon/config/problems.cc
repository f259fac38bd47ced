#include "daemon/config/problems.h"

#include <algorithm>
#include <cctype>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

// In quarters of a letter: case counts as one quarter.
int EditDistance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(4 * j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(4 * i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const unsigned char x = a[i - 1], y = b[j - 1];
      const int change = x == y ? 0 : std::tolower(x) == std::tolower(y) ? 1 : 4;
      const int best = std::min({row[j] + 4, row[j - 1] + 4, diagonal + change});
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[b.size()];
}

// Longer ones are cut: they are no names that anybody gave.
constexpr size_t kMaxKeyLength = 120;
constexpr size_t kMaxQuoted = 60;

// Control characters escaped, cut after `max_length` bytes.
std::string Printable(std::string_view text, size_t max_length) {
  std::string out;
  for (const unsigned char c : text) {
    // Never cut inside a UTF-8 sequence.
    if (out.size() >= max_length && (c & 0xC0) != 0x80) return out + "…";
    if (c < 0x20 || c == 0x7F) {
      static constexpr char kHex[] = "0123456789ABCDEF";
      out += std::string("\\x") + kHex[c >> 4] + kHex[c & 15];
    } else {
      out += static_cast<char>(c);
    }
  }
  return out;
}

}  // namespace

void Problems::Add(int line, std::string_view key, std::string_view text) {
  problems_.push_back({line, Printable(key, kMaxKeyLength), std::string(text)});
}

void Problems::Add(int line, std::string_view key, std::string_view found,
                   std::string_view expected) {
  Add(line, key, "found " + std::string(found) + ", expected " + std::string(expected));
}

std::string Problems::Origin(int line, std::string_view key) const {
  return file_ + ":" + std::to_string(line) + ", " + std::string(key);
}

absl::Status Problems::ToStatus() const {
  if (problems_.empty()) return absl::OkStatus();
  std::vector<Problem> sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Problem& a, const Problem& b) { return a.line < b.line; });
  std::string text;
  for (size_t i = 0; i < std::min(sorted.size(), kMaxShown); ++i) {
    const Problem& problem = sorted[i];
    if (i > 0) text += "\n";
    text += file_ + ":" + std::to_string(problem.line) + ": ";
    if (!problem.key.empty()) text += problem.key + ": ";
    text += problem.text;
  }
  if (sorted.size() > kMaxShown) {
    text += "\n" + file_ + ": and " + std::to_string(sorted.size() - kMaxShown) + " more";
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "CONFIG_INVALID", text,
                   {{"file", file_},
                    {"line", std::to_string(sorted.front().line)},
                    {"key", sorted.front().key},
                    {"problems", std::to_string(sorted.size())}});
}

std::string ClosestName(std::string_view name, const std::vector<std::string>& names) {
  // Nobody means a name of three letters with a word of sixty; the bound also keeps this quick.
  if (name.size() > 64) return "";
  std::string best;
  int best_distance = static_cast<int>(4 * std::max<size_t>(1, name.size() / 3)) + 1;
  for (const std::string& candidate : names) {
    const int distance = EditDistance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string Suggestion(std::string_view name, const std::vector<std::string>& names) {
  const std::string closest = ClosestName(name, names);
  return closest.empty() ? "" : " (did you mean \"" + closest + "\"?)";
}

std::string JoinNames(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return names.empty() ? "nothing" : text;
}

std::string Quote(std::string_view text) { return "\"" + Printable(text, kMaxQuoted) + "\""; }

}  // namespace canhub
