ringtap_test(smb SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/smb/smb_test.cc LINK ringtap_protocol)
