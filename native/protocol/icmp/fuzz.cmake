ringtap_fuzz(icmp SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/icmp/icmp_fuzz.cc LINK ringtap_protocol)
