ringtap_fuzz(smb SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/smb/smb_fuzz.cc LINK ringtap_protocol)
