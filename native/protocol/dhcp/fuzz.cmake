ringtap_fuzz(dhcp SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/dhcp/dhcp_fuzz.cc LINK ringtap_protocol)
