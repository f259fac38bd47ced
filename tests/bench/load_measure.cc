#include "tests/bench/load_measure.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "tests/bench/load_process.h"

namespace canhub::bench {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// Fewer clean rounds prove nothing.
constexpr int kFewestCleanRounds = 3;

int64_t ReadClock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

double Round(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double scale = std::pow(10, 4 - std::ceil(std::log10(std::fabs(value))));
  return std::round(value * scale) / scale;
}

nlohmann::json Json(const Bound& bound) { return {{"op", bound.op}, {"value", bound.value}}; }

std::string Verdict(const Case& what, double figure, int rounds) {
  if (rounds < kFewestCleanRounds) return "inconclusive";
  if (what.stretch && what.stretch->Holds(figure)) return "stretch";
  if (!what.must) return "information";
  return what.must->Holds(figure) ? "must" : "missed";
}

}  // namespace

int64_t MonotonicNs() { return ReadClock(CLOCK_MONOTONIC); }
int64_t WallNs() { return ReadClock(CLOCK_REALTIME); }

void SleepNs(int64_t ns) {
  if (ns <= 0) return;
  const timespec time{ns / kSecond, ns % kSecond};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
}

double Quantile(std::vector<double>* samples, double q) {
  if (samples->empty()) return 0;
  std::sort(samples->begin(), samples->end());
  const auto rank = static_cast<size_t>(q * static_cast<double>(samples->size() - 1) + 0.5);
  return (*samples)[std::min(rank, samples->size() - 1)];
}

double Median(std::vector<double> samples) {
  if (samples.empty()) return 0;
  std::sort(samples.begin(), samples.end());
  const size_t half = samples.size() / 2;
  return samples.size() % 2 == 1 ? samples[half] : (samples[half - 1] + samples[half]) / 2;
}

double LeastSquaresSlope(const std::vector<std::pair<double, double>>& points) {
  double x = 0, y = 0, xx = 0, xy = 0;
  const auto n = static_cast<double>(points.size());
  for (const auto& [px, py] : points) {
    x += px;
    y += py;
    xx += px * px;
    xy += px * py;
  }
  return (n * xy - x * y) / (n * xx - x * x);
}

NoiseMeter::NoiseMeter() : start_(Take()) {}

NoiseMeter::Snapshot NoiseMeter::Take() {
  Snapshot now;
  std::ifstream stat("/proc/stat");
  std::string cpu;
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
  stat >> cpu >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  now.total = (user + nice + system + idle + iowait + irq + softirq + steal) / ticks;
  // Without interrupts: those of our own traffic are charged to nobody.
  now.busy = (user + nice + system) / ticks;
  now.steal = steal / ticks;
  rusage ended{};
  getrusage(RUSAGE_CHILDREN, &ended);
  now.ours = 1e-9 * static_cast<double>(ReadClock(CLOCK_PROCESS_CPUTIME_ID)) +
             Seconds(ended.ru_utime) + Seconds(ended.ru_stime) + Child::CpuOfAll();
  return now;
}

NoiseMeter::Reading NoiseMeter::Read() const {
  const Snapshot now = Take();
  const double total = std::max(now.total - start_.total, 1e-3);
  const double others = (now.busy - start_.busy) - (now.ours - start_.ours);
  return {100 * (now.steal - start_.steal) / total, 100 * std::max(0.0, others) / total};
}

bool Bound::Holds(double figure) const {
  if (op == "<=") return figure <= value;
  if (op == ">=") return figure >= value;
  return figure == value;
}

bool Settings::Wants(const std::string& goal) const {
  return goals.empty() || std::find(goals.begin(), goals.end(), goal) != goals.end();
}

void Report::Run(const std::vector<Case>& cases,
                 const std::function<std::vector<Sample>()>& round) {
  if (cases.front().name.find(settings_.cases) == std::string::npos) return;
  std::vector<std::vector<Sample>> kept;
  int clean = 0, discarded = 0;
  double worst_steal = 0, worst_others = 0;
  const int attempts = settings_.smoke ? settings_.rounds : 3 * settings_.rounds;
  if (!settings_.smoke) static_cast<void>(round());  // round 0
  for (int i = 0; i < attempts && static_cast<int>(kept.size()) < settings_.rounds; ++i) {
    const NoiseMeter meter;
    std::vector<Sample> samples = round();
    const NoiseMeter::Reading noise = meter.Read();
    worst_steal = std::max(worst_steal, noise.steal_percent);
    worst_others = std::max(worst_others, noise.others_percent);
    if (samples.size() != cases.size()) {
      std::fprintf(stderr, "canhub-load: %s gave no figure\n", cases.front().name.c_str());
      failed_ = true;
      return;
    }
    if (noise.clean()) {
      ++clean;
    } else if (!settings_.noisy && !settings_.smoke) {
      ++discarded;
      continue;
    }
    kept.push_back(std::move(samples));
  }
  for (size_t c = 0; c < cases.size(); ++c) {
    const Case& what = cases[c];
    std::vector<double> figures, floors;
    std::map<std::string, std::vector<double>> absolute;
    for (const std::vector<Sample>& samples : kept) {
      figures.push_back(Round(samples[c].figure));
      floors.push_back(samples[c].floor);
      for (const auto& [name, value] : samples[c].absolute) absolute[name].push_back(value);
    }
    nlohmann::json result = {{"goal", what.goal},
                             {"case", what.name},
                             {"unit", what.unit},
                             {"rounds", figures},
                             {"clean_rounds", clean},
                             {"noisy_rounds", static_cast<int>(kept.size()) - clean},
                             {"discarded", discarded},
                             {"worst_steal_percent", Round(worst_steal)},
                             {"worst_others_percent", Round(worst_others)},
                             {"how", How(what.goal)}};
    result["floor"] = {{"what", what.floor_what},
                       {"value_" + what.floor_unit, Round(Median(floors))}};
    result["must"] = what.must ? Json(*what.must) : nlohmann::json();
    result["stretch"] = what.stretch ? Json(*what.stretch) : nlohmann::json();
    for (const auto& [name, values] : absolute) {
      result["absolute"][name] = Round(Median(values));
    }
    if (figures.empty()) {
      result["figure"] = nullptr;
      result["range"] = nullptr;
      result["verdict"] = "inconclusive";
    } else {
      const auto [low, high] = std::minmax_element(figures.begin(), figures.end());
      const double figure = !what.worst                          ? Median(figures)
                            : what.must && what.must->op == ">=" ? *low
                                                                 : *high;
      result["figure"] = Round(figure);
      result["range"] = {*low, *high};
      result["verdict"] = Verdict(what, figure, static_cast<int>(figures.size()));
    }
    std::printf("%-4s %-44s %s (%d rounds, %d discarded) %s\n", what.goal.c_str(),
                what.name.c_str(), result["figure"].dump().c_str(),
                static_cast<int>(figures.size()), discarded,
                result["verdict"].get<std::string>().c_str());
    std::fflush(stdout);
    results_.push_back(std::move(result));
  }
}

std::string Report::How(const std::string& goal) const {
  return "scripts/bench --goals " + goal + (settings_.noisy ? " --noisy" : "") +
         (settings_.smoke ? " --smoke" : "");
}

nlohmann::json Report::Results() const { return results_; }

}  // namespace canhub::bench
