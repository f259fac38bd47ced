#include "tests/bench/load_calls.h"

#include <cstdio>
#include <cstdlib>

namespace canhub::bench {

void Require(const grpc::Status& status, const char* what) {
  if (status.ok()) return;
  std::fprintf(stderr, "canhub-load: %s: %s\n", what, status.error_message().c_str());
  std::exit(1);
}

FloorCaller::FloorCaller(std::shared_ptr<grpc::Channel> channel)
    : stub_(Floor::NewStub(channel)), request_(Request()) {}

Item FloorCaller::Request() {
  Item item;
  item.set_time_ns(1);
  item.set_sequence(1);
  item.set_value(1);
  item.set_tag(1 << 7);
  return item;
}

void FloorCaller::Echo() {
  grpc::ClientContext context;
  Require(stub_->Echo(&context, request_, &response_), "Echo");
}

CanhubCaller::CanhubCaller(std::shared_ptr<grpc::Channel> channel)
    : high_voltage_(v1::HighVoltageService::NewStub(channel)),
      items_(v1::ItemService::NewStub(channel)) {
  set_.set_device_id("hv0");
  set_.mutable_options()->set_wait_for(v1::WAIT_FOR_SENT);
  for (const char* item :
       {"voltage_set", "current_set", "voltage_measure", "current_measure", "voltage_nominal",
        "current_nominal", "voltage_bounds", "current_bounds", "status", "event_status", "is_on",
        "is_voltage_ramp", "is_trip", "is_emergency_off", "is_external_inhibit", "on"}) {
    many_.add_names(std::string("hv0/ch[0-15].") + item);
  }
  many_values_ = many_;
  many_values_.mutable_read_mask()->add_paths("value");
  many_values_.mutable_read_mask()->add_paths("quality");
}

v1::GetItemsRequest CanhubCaller::OneRequest() {
  v1::GetItemsRequest request;
  request.add_names("hv0/ch3.voltage_measure");
  return request;
}

int64_t CanhubCaller::Set() {
  ++sets_;
  set_.set_channel(sets_ % 16);
  set_.set_voltage_v(100 + sets_ % 900);
  grpc::ClientContext context;
  Require(high_voltage_->SetVoltage(&context, set_, &receipt_), "SetVoltage");
  const google::protobuf::Timestamp& sent = receipt_.receipt().sent_time();
  return sent.seconds() * 1'000'000'000 + sent.nanos();
}

void CanhubCaller::GetOne() {
  grpc::ClientContext context;
  Require(items_->GetItems(&context, one_, &readings_), "GetItems");
}

void CanhubCaller::GetMany(Fields fields) {
  grpc::ClientContext context;
  Require(items_->GetItems(&context, fields == Fields::kAll ? many_ : many_values_, &readings_),
          "GetItems");
  if (readings_.readings_size() == kMany) return;
  std::fprintf(stderr, "canhub-load: found %d readings, expected %d\n", readings_.readings_size(),
               kMany);
  std::exit(1);
}

SourceControl::SourceControl(std::shared_ptr<grpc::Channel> channel)
    : items_(v1::ItemService::NewStub(channel)) {}

void SourceControl::SetRate(double hz) { Write("b0/rate_hz", hz); }
void SourceControl::Send() { Write("b0/out", 1); }

void SourceControl::Write(const char* item, double value) {
  v1::SetItemsRequest request;
  v1::ItemWrite* write = request.add_writes();
  write->set_name(item);
  write->mutable_value()->set_number(value);
  v1::SetItemsResponse response;
  grpc::ClientContext context;
  Require(items_->SetItems(&context, request, &response), item);
}

}  // namespace canhub::bench
