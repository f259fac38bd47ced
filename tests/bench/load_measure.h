// Rounds, noise and verdicts: what makes a figure out of measurements on a machine that is shared.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace canhub::bench {

int64_t MonotonicNs();
int64_t WallNs();
void SleepNs(int64_t ns);

// q in 0 … 1, by rank; 0 for no samples. Sorts.
double Quantile(std::vector<double>* samples, double q);
double Median(std::vector<double> samples);
// Slope of y over x.
double LeastSquaresSlope(const std::vector<std::pair<double, double>>& points);

// What the machine did for others meanwhile. Ours are this process and all Child processes.
class NoiseMeter {
 public:
  static constexpr double kMaxStealPercent = 1.5;
  static constexpr double kMaxOthersPercent = 5;
  NoiseMeter();
  struct Reading {
    double steal_percent = 0, others_percent = 0;
    bool clean() const {
      return steal_percent <= kMaxStealPercent && others_percent <= kMaxOthersPercent;
    }
  };
  // Since the construction.
  Reading Read() const;

 private:
  struct Snapshot {
    double total = 0, busy = 0, steal = 0, ours = 0;  // seconds of CPU
  };
  static Snapshot Take();
  const Snapshot start_;
};

struct Settings {
  int rounds = 5;         // that count
  int64_t window_ns = 0;  // of one measurement
  bool noisy = false;     // counts noisy rounds as well
  bool smoke = false;     // every mode, tiny
  int64_t gap_ns = 0;     // between two calls of `ab`
  std::string work;       // a folder for sockets and state, on a disk
  std::string bin;        // where the programs are
  int server_core = 0, client_core = 1;
  std::vector<std::string> goals;  // only these; empty: all of the mode
  std::string cases;               // only those whose name has this in it
  bool Wants(const std::string& goal) const;
};

struct Bound {
  std::string op;  // "<=", ">=" or "=="
  double value = 0;
  bool Holds(double figure) const;
};

// One line of the table.
struct Case {
  std::string goal, name, unit;
  std::string floor_what, floor_unit = "us";
  std::optional<Bound> must, stretch;
  // A promise that each round must keep (nothing lost, nobody starved): the worst round is the
  // figure, not the median.
  bool worst = false;
};
struct Sample {
  double figure = 0;
  double floor = 0;
  std::map<std::string, double> absolute = {};
};

class Report {
 public:
  explicit Report(Settings settings) : settings_(std::move(settings)) {}
  // Round 0 is dropped; a noisy round is discarded and made up for, up to three times as many
  // rounds as asked for. `round` returns one sample per case; an empty result ends the run as
  // failed.
  void Run(const std::vector<Case>& cases, const std::function<std::vector<Sample>()>& round);
  nlohmann::json Results() const;
  bool failed() const { return failed_; }

 private:
  // The command that repeats it.
  std::string How(const std::string& goal) const;

  const Settings settings_;
  bool failed_ = false;
  nlohmann::json results_ = nlohmann::json::array();
};

}  // namespace canhub::bench
