// The items of a crate controller ECH4xA / CC2x: section 13.1, the names of 20.2.
#include "drivers/api/high_voltage.h"
#include "drivers/iseg/item_rows.h"

namespace canhub::iseg {
namespace {

using namespace rows;  // NOLINT(google-build-using-namespace): a table in the terms of item_rows.h
namespace hv = high_voltage::crate;
namespace hvm = high_voltage::module;

constexpr ValueType kFlag = ValueType::kFlag;
constexpr ValueType kInteger = ValueType::kInteger;
constexpr ValueType kNumber = ValueType::kNumber;
constexpr ValueType kText = ValueType::kText;

constexpr char kMask[] = "event_mask";

constexpr ItemEntry Sensor(const char* name, const char* alias, int index,
                           const char* description) {
  return Optional(AtIndex(Read(id::kTemperatures, Poll::kSlow, name, alias, kNumber, "degC",
                               description, "EDCP 0x2001"),
                          index));
}
constexpr ItemEntry Supply(const char* name, int index, const char* description,
                           Confidence confidence = k2) {
  return Optional(AtIndex(Read(id::kSupplies, Poll::kSlow, name, "", kNumber, "V", description,
                               "EDCP 0x2002", confidence),
                          index));
}

constexpr ItemEntry kRows[] = {
    // ---- registers
    Read(id::kCrateStatus, Poll::kFast, hv::kStatus, "", kInteger, "", "Status of the crate",
         "EDCP 0x1A00"),
    Read(id::kCrateControl, Poll::kNever, "control", "", kInteger, "",
         "Control register; bit 0 clears the events", "EDCP 0x1A01"),
    ClearedByOnes(Write(id::kCrateEventStatus, Poll::kFast, hv::kEventStatus, "", kInteger, "",
                        "Events of the crate, bits as in status; ones written clear",
                        "EDCP 0x1A02")),
    WithRange(Write(id::kCrateEventMask, Poll::kOnChange, kMask, "", kInteger, "", "Event mask",
                    "EDCP 0x1A03"),
              0, 4294967295.0),
    Read(id::kCrateFanSpeed, Poll::kSlow, hv::kFanSpeed, "", kNumber, "%", "Speed of the fans",
         "EDCP 0x1A04", kDiffer),
    Write(id::kCratePower, Poll::kSlow, hv::kPowerOn, "Control.power", kFlag, "",
          "Backplane on; off is standby: the modules have no supply", "EDCP 0x1A05"),
    Optional(Read(id::kCrateBackplane, Poll::kOnce, "backplane_type", "", kInteger, "",
                  "Bit n: line n uses slot addresses", "EDCP 0x1A07", k1)),
    Read(id::kSerialNumber, Poll::kOnce, hvm::kSerialNumber, "Status.serialNumber", kInteger, "",
         "Serial number", "EDCP 0x1200", k1),
    Read(id::kFirmwareRelease, Poll::kOnce, hvm::kFirmwareRelease, "Status.firmwareRelease", kText,
         "", "Release of the firmware", "EDCP 0x1201", k1),
    Read(id::kFirmwareName, Poll::kOnce, hvm::kFirmwareName, "Status.firmwareName", kText, "",
         "Name of the firmware", "EDCP 0x1203", k1),
    Optional(Read(id::kArticle, Poll::kOnce, hvm::kArticle, "", kText, "", "Article text",
                  "EDCP 0x1209", k1)),
    Sensor("temperature_sensor_0", "Status.temperature0", 0, "Controller sensor 0"),
    Sensor("temperature_sensor_1", "Status.temperature1", 1, "Controller sensor 1"),
    Sensor("temperature_sensor_2", "", 2, "Hottest module; a master may compute it"),
    Supply("supply_24v_backplane", 0, "+24 V of the backplane"),
    Supply("supply_minus_24v_external", 1, "-24 V external"),
    Supply("supply_5v_backplane", 2, "+5 V of the backplane"),
    Supply("supply_12v_internal", 3, "+12 to 15 V internal"),
    Supply("supply_minus_12v_internal", 4, "-12 to 15 V internal"),
    Supply("supply_5v_internal", 5, "+5 V of the controller"),
    Supply("supply_3v3_internal", 6, "+3.3 V of the controller"),
    Supply("supply_ac_line", 7, "230 V mains"),
    Supply("supply_24v_battery", 8, "UPS battery"),
    Supply("supply_safety_loop", 9, "Safety loop voltage"),
    Supply("supply_dc_link", 10, "DC link", k1),
    Supply("supply_27v", 11, "+27.3 V", k1),
    Supply("supply_minus_27v", 12, "-27.3 V", k1),

    // ---- status bits
    Bit(hv::kStatus, 0, "is_battery_low", "", "+24 V battery too low", "EDCP 0x1A00 bit 0"),
    Bit(hv::kStatus, 1, "is_battery_high", "", "+24 V battery too high", "EDCP 0x1A00 bit 1"),
    Bit(hv::kStatus, 2, "is_backplane_5v_low", "", "+5 V backplane too low", "EDCP 0x1A00 bit 2"),
    Bit(hv::kStatus, 3, "is_backplane_5v_high", "", "+5 V backplane too high", "EDCP 0x1A00 bit 3"),
    Bit(hv::kStatus, 4, "is_backplane_24v_low", "", "+24 V backplane too low", "EDCP 0x1A00 bit 4"),
    Bit(hv::kStatus, 5, "is_backplane_24v_high", "", "+24 V backplane too high",
        "EDCP 0x1A00 bit 5"),
    Bit(hv::kStatus, 6, "is_service_needed", "", "Service needed", "EDCP 0x1A00 bit 6"),
    Bit(hv::kStatus, 7, "is_temperature_high", "", "Temperature too high", "EDCP 0x1A00 bit 7"),
    InvertedBit(hv::kStatus, 7, "is_temperature_good", "Status.temperatureGood",
                "Temperature in range", "EDCP 0x1A00 bit 7, inverted"),
    Bit(hv::kStatus, 8, "is_controller_5v_low", "", "+5 V controller too low", "EDCP 0x1A00 bit 8"),
    Bit(hv::kStatus, 9, "is_controller_5v_high", "", "+5 V controller too high",
        "EDCP 0x1A00 bit 9"),
    Bit(hv::kStatus, 10, "is_controller_3v3_low", "", "+3.3 V controller too low",
        "EDCP 0x1A00 bit 10"),
    Bit(hv::kStatus, 11, "is_controller_3v3_high", "", "+3.3 V controller too high",
        "EDCP 0x1A00 bit 11"),
    Bit(hv::kStatus, 12, "is_sum_error", "", "Sum error", "EDCP 0x1A00 bit 12", k1),
    Bit(hv::kStatus, 16, hv::kIsPowerOn, "Status.power", "Power is on", "EDCP 0x1A00 bit 16"),
    Bit(hv::kStatus, 17, "is_power_fail", "", "Power fail", "EDCP 0x1A00 bit 17"),
    InvertedBit(hv::kStatus, 17, "is_mains_good", "Status.mainsGood", "No power fail",
                "EDCP 0x1A00 bit 17, inverted", kInf),
    Bit(hv::kStatus, 18, hvm::kHighVoltageOn, "Status.on", "High voltage is on",
        "EDCP 0x1A00 bit 18"),
    Bit(hv::kStatus, 19, "is_shut_down", "", "Shut down (PC)", "EDCP 0x1A00 bit 19"),
    Bit(hv::kStatus, 20, "is_crate_enabled", "", "Crate enabled", "EDCP 0x1A00 bit 20", k1),
    Bit(hv::kStatus, 21, "is_fast_off", "", "Fast off", "EDCP 0x1A00 bit 21", k1),

    // ---- event bits
    Bit(hv::kEventStatus, 0, "event_battery_low", "", "+24 V battery was too low",
        "EDCP 0x1A02 bit 0"),
    Bit(hv::kEventStatus, 1, "event_battery_high", "", "+24 V battery was too high",
        "EDCP 0x1A02 bit 1"),
    Bit(hv::kEventStatus, 2, "event_backplane_5v_low", "", "+5 V backplane was too low",
        "EDCP 0x1A02 bit 2"),
    Bit(hv::kEventStatus, 3, "event_backplane_5v_high", "", "+5 V backplane was too high",
        "EDCP 0x1A02 bit 3"),
    Bit(hv::kEventStatus, 4, "event_backplane_24v_low", "", "+24 V backplane was too low",
        "EDCP 0x1A02 bit 4"),
    Bit(hv::kEventStatus, 5, "event_backplane_24v_high", "", "+24 V backplane was too high",
        "EDCP 0x1A02 bit 5"),
    Bit(hv::kEventStatus, 6, "event_service_needed", "", "Service was needed", "EDCP 0x1A02 bit 6"),
    Bit(hv::kEventStatus, 7, "event_temperature_high", "Event.temperatureNotGood",
        "Temperature was too high", "EDCP 0x1A02 bit 7"),
    Bit(hv::kEventStatus, 8, "event_controller_5v_low", "", "+5 V controller was too low",
        "EDCP 0x1A02 bit 8"),
    Bit(hv::kEventStatus, 9, "event_controller_5v_high", "", "+5 V controller was too high",
        "EDCP 0x1A02 bit 9"),
    Bit(hv::kEventStatus, 10, "event_controller_3v3_low", "", "+3.3 V controller was too low",
        "EDCP 0x1A02 bit 10"),
    Bit(hv::kEventStatus, 11, "event_controller_3v3_high", "", "+3.3 V controller was too high",
        "EDCP 0x1A02 bit 11"),
    Bit(hv::kEventStatus, 12, "event_sum_error", "", "Sum error", "EDCP 0x1A02 bit 12", k1),
    Bit(hv::kEventStatus, 16, "event_power_on", "", "Power was switched on", "EDCP 0x1A02 bit 16"),
    Bit(hv::kEventStatus, 17, "event_power_fail", "Event.mainsNotGood", "Power failed",
        "EDCP 0x1A02 bit 17"),
    Bit(hv::kEventStatus, 18, "event_high_voltage_on", "", "High voltage was on",
        "EDCP 0x1A02 bit 18"),
    Bit(hv::kEventStatus, 19, "event_shut_down", "", "Shut down (PC)", "EDCP 0x1A02 bit 19"),
    Bit(hv::kEventStatus, 20, "event_crate_enabled", "", "Crate was enabled", "EDCP 0x1A02 bit 20",
        k1),
    Bit(hv::kEventStatus, 21, "event_fast_off", "", "Fast off", "EDCP 0x1A02 bit 21", k1),

    // ---- mask bits
    WritableBit(kMask, 0, "mask_battery_low", "", "Battery too low counts", "EDCP 0x1A03 bit 0"),
    WritableBit(kMask, 1, "mask_battery_high", "", "Battery too high counts", "EDCP 0x1A03 bit 1"),
    WritableBit(kMask, 2, "mask_backplane_5v_low", "", "+5 V backplane too low counts",
                "EDCP 0x1A03 bit 2"),
    WritableBit(kMask, 3, "mask_backplane_5v_high", "", "+5 V backplane too high counts",
                "EDCP 0x1A03 bit 3"),
    WritableBit(kMask, 4, "mask_backplane_24v_low", "", "+24 V backplane too low counts",
                "EDCP 0x1A03 bit 4"),
    WritableBit(kMask, 5, "mask_backplane_24v_high", "", "+24 V backplane too high counts",
                "EDCP 0x1A03 bit 5"),
    WritableBit(kMask, 6, "mask_service_needed", "", "Service needed counts", "EDCP 0x1A03 bit 6"),
    WritableBit(kMask, 7, "mask_temperature_high", "", "Temperature too high counts",
                "EDCP 0x1A03 bit 7"),
    WritableBit(kMask, 8, "mask_controller_5v_low", "", "+5 V controller too low counts",
                "EDCP 0x1A03 bit 8"),
    WritableBit(kMask, 9, "mask_controller_5v_high", "", "+5 V controller too high counts",
                "EDCP 0x1A03 bit 9"),
    WritableBit(kMask, 10, "mask_controller_3v3_low", "", "+3.3 V controller too low counts",
                "EDCP 0x1A03 bit 10"),
    WritableBit(kMask, 11, "mask_controller_3v3_high", "", "+3.3 V controller too high counts",
                "EDCP 0x1A03 bit 11"),
    WritableBit(kMask, 12, "mask_sum_error", "", "Sum error counts", "EDCP 0x1A03 bit 12", k1),
    WritableBit(kMask, 16, "mask_power_on", "", "Power on counts", "EDCP 0x1A03 bit 16"),
    WritableBit(kMask, 17, "mask_power_fail", "", "Power fail counts", "EDCP 0x1A03 bit 17"),
    WritableBit(kMask, 18, "mask_high_voltage_on", "", "High voltage on counts",
                "EDCP 0x1A03 bit 18"),
    WritableBit(kMask, 19, "mask_shut_down", "", "Shut down counts", "EDCP 0x1A03 bit 19"),
    WritableBit(kMask, 20, "mask_crate_enabled", "", "Crate enabled counts", "EDCP 0x1A03 bit 20",
                k1),
    WritableBit(kMask, 21, "mask_fast_off", "", "Fast off counts", "EDCP 0x1A03 bit 21", k1),

    // ---- computed by the driver
    Derived("is_alive", "Status.isAlive", kFlag, "", "Answers in time", "answers"),
    WithLabels(Derived("running_state", "Status.runningState", kInteger, "", "Summary",
                       "status and event bits"),
               kRunningStates),
    Derived("error_counter", "Status.errorCounter", kInteger, "",
            "Rising edges of the error flags since the start", "event bits"),
    Derived("event_counter", "Status.eventCounter", kInteger, "",
            "Rising edges of the event flags since the start", "event bits"),
    Derived("cycle_counter", "Status.heartBeat", kInteger, "", "Polls of the fast items so far",
            "driver"),
    Derived("cycle_time", "Setup.cycleTime", kNumber, "s", "Time between polls of the fast items",
            "driver"),
    Derived("address", "address", kInteger, "", "Index of the crate on the line", "identifier"),
    Derived("line", "line", kInteger, "", "Line; 0 is the bus itself", "identifier"),
    Derived("is_battery_good", "Status.batteryGood", kFlag, "", "Battery voltage in range",
            "0x1A00 bits 0, 1 are 0"),
    Derived("is_supply_good", "Status.supplyGood", kFlag, "", "Supplies in range",
            "0x1A00 bits 2 to 5, 8 to 11 are 0"),
    Derived("event_battery_not_good", "Event.batteryNotGood", kFlag, "",
            "Battery voltage was out of range", "0x1A02 bits 0, 1"),
    Derived("event_supply_not_good", "Event.supplyNotGood", kFlag, "", "A supply was out of range",
            "0x1A02 bits 2 to 5, 8 to 11"),
    Derived("error_battery_not_good", "Error.batteryNotGood", kFlag, "",
            "Latched: event_battery_not_good", "0x1A02 bits 0, 1"),
    Derived("error_mains_not_good", "Error.mainsNotGood", kFlag, "", "Latched: event_power_fail",
            "0x1A02 bit 17"),
    Derived("error_supply_not_good", "Error.supplyNotGood", kFlag, "",
            "Latched: event_supply_not_good", "0x1A02 bits 2 to 5, 8 to 11"),
    Derived("error_temperature_not_good", "Error.temperatureNotGood", kFlag, "",
            "Latched: event_temperature_high", "0x1A02 bit 7"),
};

}  // namespace

std::span<const ItemEntry> CrateEntries() { return kRows; }

}  // namespace canhub::iseg
