ringtap_fuzz(ntp SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/ntp/ntp_fuzz.cc LINK ringtap_protocol)
