// What simulated modules and crates share: the place on the line, log-on, network management,
// answers with their delay, and the faults of the line.
#pragma once

#include <deque>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/api/simulated_faults.h"
#include "drivers/iseg/edcp.h"
#include "drivers/iseg/registers.h"

namespace canhub::iseg {

// Runs on its line's thread. All state follows from frames, faults and the clock; nothing happens
// between them that could be seen, so there is no tick but for announcements and answers.
class SimulatedDevice : public Simulator {
 public:
  // Announced about so often while nobody has logged on (2 … 10 s, section 9.1).
  static constexpr Duration kAnnouncementPeriod = std::chrono::seconds(5);
  // Without an access for so long a device announces itself again (section 9.1).
  static constexpr Duration kLogOnLifetime = std::chrono::seconds(60);
  // Between power-on (or log-off) and the first announcement; devices of a line follow each other.
  static constexpr Duration kFirstAnnouncement = std::chrono::milliseconds(200);
  static constexpr Duration kAnnouncementStep = std::chrono::milliseconds(10);
  // Between frames of one answer: no device of section 1 was seen to send more than one in 1 ms.
  static constexpr Duration kBetweenAnswers = std::chrono::milliseconds(1);
  // More waiting answers than two full multiple reads of 48 channels are dropped.
  static constexpr size_t kMaxWaitingAnswers = 96;

  ~SimulatedDevice() override;
  void Start() override;
  void OnFrame(const RxFrame& frame) override;
  absl::Status InjectFault(std::string_view fault, const Arguments& parameters) override;
  absl::StatusOr<int> ClearFaults(std::string_view fault) override;
  std::vector<std::pair<std::string, Arguments>> ActiveFaults() const override;

 protected:
  SimulatedDevice(SimulatorContext context, DeviceAddress address, int device_class);

  const DeviceAddress& address() const { return address_; }
  const DeviceConfig& config() const { return context_.config; }
  MonoTime Now() const { return context_.clock.Now(); }
  std::mt19937_64& random() { return random_; }
  bool powered() const { return powered_; }

  // Sends `payload` from the device's own identifier, after the answer delay and all before it.
  void Answer(std::span<const uint8_t> payload);
  void AnswerModule(uint16_t data_id, const WireBytes& value);
  void AnswerIndexed(uint16_t data_id, int index, const WireBytes& value);
  // Pieces of five characters; an empty piece ends a text whose length is a multiple of five.
  void AnswerText(uint16_t data_id, std::string_view text);
  // The supply from outside; the fault "power_off" takes it away as well.
  void SetSupply(bool on);
  bool FaultActive(std::string_view fault) const;
  // The fault stands for this channel.
  bool FaultActive(std::string_view fault, int channel) const;

  // A new start; `cold`: power came back.
  virtual void Reset(bool cold) = 0;
  virtual uint8_t GeneralStatus() = 0;
  virtual void OnRead(std::span<const uint8_t> payload) = 0;   // EDCP, at least 2 bytes
  virtual void OnWrite(std::span<const uint8_t> payload) = 0;  // EDCP, at least 2 bytes
  virtual void OnDcpRead(uint8_t data_id) = 0;
  virtual void OnBroadcast(std::span<const uint8_t> edcp) = 0;  // DATA_ID and value
  virtual void OnLiveInsertion(bool on) = 0;
  // Frames for others on the line; the crate's switch is one.
  virtual void OnForeignFrame(const CanFrame& frame) = 0;
  // Before a fault is put in force or done: refuses bad arguments. True: it happens once and does
  // not stand. Faults of the line (silence …) do not come here.
  virtual absl::StatusOr<bool> OnFault(std::string_view fault, const Arguments& arguments) = 0;
  // The set of standing faults has changed.
  virtual void OnFaultsChanged() = 0;

 private:
  struct Waiting {
    MonoTime due;
    CanFrame frame;
  };

  void OnNmt(std::span<const uint8_t> payload);
  void LogOff();
  void ScheduleAnnouncement(MonoTime when);
  void OnAnnouncementTimer();
  void SendWaiting();
  void ArmAnswerTimer();
  void Enqueue(CanFrame frame);
  // Applies the faults of the line to an answer; false: it is lost.
  bool Distort(CanFrame* frame);
  void Restart(bool cold);
  void UpdatePower();

  SimulatorContext context_;
  const DeviceAddress address_;
  const uint8_t device_class_;
  const Duration answer_delay_;
  std::mt19937_64 random_;
  bool supply_ = false;
  bool powered_ = false;
  bool stopped_ = false;  // by NMT C8
  bool logged_on_ = false;
  MonoTime last_access_{};
  TimerId announcement_timer_ = 0;
  TimerId answer_timer_ = 0;
  std::deque<Waiting> waiting_;
  SimulatedFaults faults_;

 protected:
  bool anti_collision_ = false;
};

}  // namespace canhub::iseg
