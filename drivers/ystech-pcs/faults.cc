#include "drivers/ystech-pcs/faults.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace canhub::ystech_pcs {
namespace {

// Sections 11.1 and 11.2; groups of 11.2 and all remedies are ours.
constexpr FaultCode kFaultCodes[] = {
    {1, "battery voltage too high", "above the boundary setting",
     "check the battery's voltage against the maximum output voltage of protection set 1", "dc"},
    {2, "battery voltage too low", "below the boundary setting",
     "check the battery's voltage, fuse and contactor, and the minimum output voltage of "
     "protection set 1",
     "dc"},
    {3, "battery connected with reversed polarity", "battery voltage negative",
     "disconnect the battery and exchange its poles", "dc"},
    {4, "current over limit", "above the boundary setting",
     "lower the set current, or raise the current limits of protection set 1", "dc"},
    {5, "over-temperature", "above 90 degC",
     "let it cool down; check fans, filters and the air inlet temperature", "thermal"},
    {6, "soft start timeout", "soft start longer than 10 s",
     "check the battery connection and the pre-charge path", "internal"},
    {7, "parallel: address out of range", "", "set an address within the range on the display",
     "parallel"},
    {8, "parallel: address conflict", "", "give each module its own address", "parallel"},
    {9, "parallel: cable fault", "", "check the parallel cable and its terminating switches",
     "parallel"},
    {10, "parallel: host conflict", "", "make one module of the group host, all others slave",
     "parallel"},
    {11, "signal cable fault", "", "check the signal cable", "internal"},
    {12, "DC bus voltage low", "", "check the grid voltage and the bus voltage setting",
     "internal"},
    {13, "DC bus voltage high", "", "check the grid voltage and the bus voltage setting",
     "internal"},
    {14, "flash write failure", "",
     "switch the supply off and on; if it returns, contact the maker", "internal"},
    {15, "over-current count reached", "3 over-currents in a row",
     "check the battery and the set current; look for a short circuit", "dc"},
    {16, "over-voltage count reached", "3 over-voltages in a row",
     "check the battery, its contactor and the set voltage", "dc"},
    {17, "power over limit", "above the boundary setting",
     "lower the set power, or raise the power limits of protection set 2", "dc"},
    {18, "emergency stop pressed", "button", "find out why it was pressed; release the button",
     "external"},
    {19, "hardware over-current", "", "look for a short circuit of battery and cables", "dc"},
    {20, "current imbalance", "", "check Hall sensor wiring and the Hall ratio setting",
     "parallel"},
    {21, "communication failure", "", "check the communication cables", "comm"},
    {22, "remote voltage sampling abnormal", "", "check the voltage sense wires", "dc"},
    {25, "balance module over-current", "", "check the load between the phases", "internal"},
    {26, "slave failure", "", "read the fault of the slave modules (the manual has 30 for this)",
     "parallel"},
    {30, "slave failure", "",
     "read the fault of the slave modules (the CAN protocol has 26 for this)", "parallel"},
    {31, "fault of a slave channel", "", "read the fault of the slave channels", "parallel"},
    {32, "ARM fault", "", "switch the supply off and on; if it returns, contact the maker",
     "internal"},
    {33, "cycle-by-cycle current limiting", "",
     "look for a short circuit or a load step; lower the set-point", "internal"},
    {34, "cycle-by-cycle current limiting", "",
     "look for a short circuit or a load step; lower the set-point", "internal"},
    {35, "cycle-by-cycle current limiting", "",
     "look for a short circuit or a load step; lower the set-point", "internal"},
    {36, "cycle-by-cycle current limiting", "",
     "look for a short circuit or a load step; lower the set-point", "internal"},
    {37, "bus over-voltage", "", "check the grid voltage and the bus voltage setting", "internal"},
    {38, "PFC bus dropping fast", "", "check the grid supply", "internal"},
    {39, "parallel mode error", "", "check addresses, roles and the cable of the parallel group",
     "parallel"},
    {40, "DC bus dropping fast", "", "check the grid supply and look for a short circuit",
     "internal"},
    {41, "parallel communication failure", "",
     "check addresses, roles and the cable of the parallel group", "parallel"},
    {42, "parallel communication failure", "",
     "check addresses, roles and the cable of the parallel group", "parallel"},
    {43, "parallel communication failure", "",
     "check addresses, roles and the cable of the parallel group", "parallel"},
    {44, "parallel communication failure", "",
     "check addresses, roles and the cable of the parallel group", "parallel"},
    {45, "DC bus short circuit", "", "disconnect everything; contact the maker", "internal"},
    {46, "PFC bus short circuit", "", "disconnect everything; contact the maker", "internal"},
    {47, "balance module overload", "", "check the load between the phases", "internal"},
    {257, "grid voltage high", "above 264 V",
     "check the grid voltage and the AC limits of protection set 2", "grid"},
    {258, "grid voltage low", "below 176 V",
     "check the grid voltage, its fuses and the AC limits of protection set 2", "grid"},
    {259, "inverter voltage low", "", "check the load of the inverter", "grid"},
    {260, "grid frequency high", "", "check the grid frequency and the limits of protection set 3",
     "grid"},
    {261, "grid frequency low", "", "check the grid frequency and the limits of protection set 3",
     "grid"},
    {262, "phase lock failure", "", "check grid voltage, frequency and phase connections", "grid"},
    {263, "inverter soft-start relay fault", "",
     "switch the supply off and on; if it returns, contact the maker", "internal"},
    {264, "inverter soft-start fault", "",
     "switch the supply off and on; if it returns, contact the maker", "internal"},
    {265, "input phase sequence reversed", "phase order", "exchange two phases of the AC input",
     "grid"},
    {266, "AC output short circuit", "", "disconnect the AC load and look for the short circuit",
     "grid"},
    {267, "AC output current imbalance", "", "check the load of each phase", "grid"},
    {268, "output over-current", "", "lower the load", "grid"},
    {269, "output overload 1.1 times", "", "lower the load", "grid"},
    {270, "output overload 1.2 times", "", "lower the load", "grid"},
    {271, "PFC bus voltage low", "", "check the grid voltage", "internal"},
    {272, "PFC bus voltage high", "", "check the grid voltage", "internal"},
    {273, "PFC bus voltage high", "", "check the grid voltage", "internal"},
    {274, "PFC bus voltage high", "", "check the grid voltage", "internal"},
    {275, "PFC bus sampling fault", "",
     "switch the supply off and on; if it returns, contact the maker", "internal"},
    {276, "DC soft-start fault", "", "check the battery connection and the pre-charge path",
     "internal"},
    {277, "PFC bus imbalance", "", "switch the supply off and on; if it returns, contact the maker",
     "internal"},
    {278, "bus voltage asymmetry", "",
     "switch the supply off and on; if it returns, contact the maker", "internal"},
    {279, "DC output short circuit", "", "disconnect the battery and look for the short circuit",
     "dc"},
    {280, "heat sink over-temperature", "above 90 degC",
     "let it cool down; check fans, filters and the air inlet temperature", "thermal"},
    {281, "PFC soft start timeout", "", "check the grid voltage; if it returns, contact the maker",
     "internal"},
    {287, "auxiliary supply fault", "",
     "switch the supply off and on; if it returns, contact the maker", "internal"},
    {288, "power board type mismatch", "", "contact the maker", "internal"},
    {289, "signal cable fault", "", "check the signal cable", "internal"},
    {290, "low-voltage ride-through fault", "",
     "check the AC voltage (printed as \"low wear\" fault in the manual)", "grid"},
    {291, "rectifier soft-start fault", "",
     "check the grid voltage; if it returns, contact the maker", "internal"},
    {293, "bus polarity reversed", "", "check the polarity of the DC bus wiring", "internal"},
    {298, "phase U current blocking fault", "",
     "switch the supply off and on; if it returns, contact the maker", "grid"},
    {299, "phase V current blocking fault", "",
     "switch the supply off and on; if it returns, contact the maker", "grid"},
    {300, "phase W current blocking fault", "",
     "switch the supply off and on; if it returns, contact the maker", "grid"},
    {301, "output current 1.1 times", "", "lower the set-point or the load", "dc"},
    {302, "output current 1.2 times", "", "lower the set-point or the load", "dc"},
    {303, "DC-mode soft-start fault", "", "check the battery connection and the pre-charge path",
     "internal"},
    {304, "DC mode: output voltage high", "", "check the battery's voltage and the set-point",
     "dc"},
    {305, "DC mode: output voltage reversed", "", "disconnect the battery and exchange its poles",
     "dc"},
    {306, "fuse of phase A failed", "", "disconnect the grid; find the cause and replace the fuse",
     "grid"},
    {307, "fuse of phase B failed", "", "disconnect the grid; find the cause and replace the fuse",
     "grid"},
    {308, "fuse of phase C failed", "", "disconnect the grid; find the cause and replace the fuse",
     "grid"},
    {310, "system side overload 1.2 times", "", "lower the load", "grid"},
    {311, "grid and load phase order differ", "", "wire grid and load in the same phase order",
     "grid"},
    {331, "relay of phase A host stuck closed", "", "disconnect the grid; contact the maker",
     "internal"},
    {332, "relay of phase B host stuck closed", "", "disconnect the grid; contact the maker",
     "internal"},
    {333, "relay of phase C host stuck closed", "", "disconnect the grid; contact the maker",
     "internal"},
    {0x800D, "CAN1 communication failure", "5 s without controller data",
     "check that the controller's heartbeat reaches the PCS: cable, termination, bus state, "
     "address, another program that took over the bus",
     "comm"},
    {0x800E, "CAN2 device failure", "", "check the cable and the device on CAN2", "comm"},
    {0x800F, "RS485-1 communication failure", "", "check the cable and the device on RS485-1",
     "comm"},
    {0x8010, "RS485-2 communication failure", "", "check the cable and the device on RS485-2",
     "comm"},
    {0x8011, "DSP soft start timeout", "", "check the battery connection and the grid voltage",
     "internal"},
    {0x8012, "emergency stop pressed", "", "find out why it was pressed; release the button",
     "external"},
    {0x8013, "charging-gun head over-temperature", "",
     "let the connector cool down; check its contacts", "external"},
    {0x8014, "abnormal voltage at detection point 1", "", "check the wiring of the detection point",
     "external"},
    {0x8015, "network disconnected", "", "check the Ethernet cable", "comm"},
    {0x8016, "DSP communication interrupted", "",
     "switch the supply off and on; if it returns, contact the maker", "comm"},
};

constexpr bool Ascending() {
  for (size_t i = 1; i < std::size(kFaultCodes); ++i) {
    if (kFaultCodes[i - 1].code >= kFaultCodes[i].code) return false;
  }
  return true;
}
static_assert(Ascending());

}  // namespace

std::span<const FaultCode> FaultCodes() { return kFaultCodes; }

const FaultCode* FindFaultCode(int code) {
  const auto* found =
      std::lower_bound(std::begin(kFaultCodes), std::end(kFaultCodes), code,
                       [](const FaultCode& spec, int wanted) { return spec.code < wanted; });
  return found != std::end(kFaultCodes) && found->code == code ? found : nullptr;
}

std::string FaultText(int code) {
  if (code == kNoFault) return "no fault";
  // As section 11 writes them: the CAN group in hex.
  const std::string number =
      code < 0x8000 ? std::to_string(code) : absl::StrCat("0x", absl::Hex(code));
  const FaultCode* spec = FindFaultCode(code);
  if (spec == nullptr) {
    return absl::StrCat("unknown fault ", number, ": internal failure, contact the maker");
  }
  return absl::StrCat(spec->meaning, " (fault ", number, ")");
}

}  // namespace canhub::ystech_pcs
