ringtap_fuzz(arp SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/arp/arp_fuzz.cc LINK ringtap_protocol)
