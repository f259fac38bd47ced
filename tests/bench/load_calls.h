// Single calls, made as cheaply as a client can: stubs and messages are kept.
#pragma once

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>

#include "canhub/v1/high_voltage_service.grpc.pb.h"
#include "canhub/v1/item_service.grpc.pb.h"
#include "floor.grpc.pb.h"

namespace canhub::bench {

// Each ends the program with a message when the call fails: there is nothing to measure then.
class FloorCaller {
 public:
  explicit FloorCaller(std::shared_ptr<grpc::Channel> channel);
  void Echo();
  static Item Request();

 private:
  const std::unique_ptr<Floor::Stub> stub_;
  Item request_, response_;
};

class CanhubCaller {
 public:
  static constexpr int kMany = 256;
  explicit CanhubCaller(std::shared_ptr<grpc::Channel> channel);
  // HighVoltageService.SetVoltage on hv0, answered when the frame has been handed to the bus.
  // Returns the moment of that, CLOCK_REALTIME.
  int64_t Set();
  // One reading by its name.
  void GetOne();
  // 16 items of 16 channels, by 16 patterns: all fields of the readings, or their values and
  // qualities.
  enum class Fields { kAll, kValues };
  void GetMany(Fields fields);
  static v1::GetItemsRequest OneRequest();

 private:
  const std::unique_ptr<v1::HighVoltageService::Stub> high_voltage_;
  const std::unique_ptr<v1::ItemService::Stub> items_;
  uint32_t sets_ = 0;
  v1::SetVoltageRequest set_;
  v1::SetVoltageResponse receipt_;
  const v1::GetItemsRequest one_ = OneRequest();
  v1::GetItemsRequest many_, many_values_;
  v1::GetItemsResponse readings_;
};

// The source of canhub-bench-hub: how fast b0's readings change; and a frame through the whole
// path of a command.
class SourceControl {
 public:
  explicit SourceControl(std::shared_ptr<grpc::Channel> channel);
  void SetRate(double hz);
  void Send();

 private:
  void Write(const char* item, double value);
  const std::unique_ptr<v1::ItemService::Stub> items_;
};

void Require(const grpc::Status& status, const char* what);

}  // namespace canhub::bench
